// A click on a figure shows it as large as the window; Escape or another click closes it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.figure-zoom");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const box = document.createElement("dialog");
  const image = link.querySelector("img").cloneNode();
  box.className = "figure-large";
  box.setAttribute("aria-label", "Figure, enlarged");
  box.append(image);
  box.addEventListener("click", () => box.close());
  // The theme's search box keeps the key from the browser.
  box.addEventListener("keydown", (key) => key.key === "Escape" && box.close());
  box.addEventListener("close", () => (box.remove(), link.focus()));
  document.body.append(box);
  box.showModal();
});
