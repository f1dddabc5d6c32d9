// On paper the theme is light and every fold is open, also where a style sheet cannot open one.
let before = null;
addEventListener("beforeprint", () => {
  const shut = [...document.querySelectorAll("details:not([open])")];
  before = { theme: document.documentElement.dataset.theme, shut };
  document.documentElement.dataset.theme = "light";
  for (const fold of shut) fold.open = true;
});
addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = before.theme;
  for (const fold of before.shut) fold.open = false;
});
