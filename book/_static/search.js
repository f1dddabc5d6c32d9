// Excerpts are read from the pages found, which a browser refuses where they are opened as files.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// An excerpt is prose: Sphinx would show the page's menus, a chapter's code and where its figures
// come from, and the marks of its formulas too.
const NO_PROSE = ".bd-header-article, #jb-print-docs-body, .bd-sidebar-secondary, "
  + ".prev-next-footer, .cell_input, .figure-files";
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return; // only the search page has it
  const whole = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(NO_PROSE).forEach((part) => part.remove());
    for (const formula of page.querySelectorAll(".math")) {
      formula.textContent = formula.textContent.replace(/^\s*\\[([]|\\[)\]]\s*$/g, "");
    }
    return whole(page.documentElement.outerHTML, anchor);
  };
  const search = Search.performSearch;
  Search.performSearch = (words) => search(words.replace(/\bfig(ures|\.)? ?(?=\d)/i, "figure "));
});
