// Excerpts are read from the pages found, which a browser refuses where they are opened as files.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// An excerpt is prose: Sphinx would show a chapter's code and the marks of its formulas too.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return; // only the search page has it
  const whole = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(".cell_input").forEach((code) => code.remove());
    for (const formula of page.querySelectorAll(".math")) {
      formula.textContent = formula.textContent.replace(/^\s*\\[([]|\\[)\]]\s*$/g, "");
    }
    return whole(page.documentElement.outerHTML, anchor);
  };
  const search = Search.performSearch;
  Search.performSearch = (words) => search(words.replace(/\bfig(ures|\.)? ?(?=\d)/i, "figure "));
});
