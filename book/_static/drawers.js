// On a narrow window both lists of contents are drawers: a link to a place of the page closes it.
document.addEventListener("click", (event) => {
  event.target.closest("dialog[id$=sidebar-modal] a[href*='#']")?.closest("dialog").close();
});
