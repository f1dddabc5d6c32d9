// Show the rows that contain every word and have a chosen status; a folded list with such a row opens.
(() => {
  const box = document.currentScript.parentElement;
  const words = box.querySelector("input");
  const said = box.querySelector("output");
  const buttons = [...box.querySelectorAll("button")];

  function refresh(rows) {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = buttons.filter((b) => b.getAttribute("aria-pressed") === "true");
    const statuses = chosen.map((b) => b.textContent);
    const asked = wanted.length + statuses.length > 0;
    let shown = 0;
    for (const { row, text, status } of rows) {
      const fits = wanted.every((word) => text.includes(word));
      row.hidden = asked && !(fits && (!statuses.length || statuses.includes(status)));
      shown += !row.hidden;
    }
    for (const table of new Set(rows.map(({ row }) => row.closest("table")))) {
      const some = table.querySelector("tbody tr:not([hidden])") !== null;
      table.hidden = !some;
      const fold = table.closest("details");
      if (fold && asked) fold.open = some;
    }
    said.textContent = asked ? `${shown} of ${rows.length} rows` : "";
  }

  // A link to a row shows it, whatever is searched for and wherever it is folded.
  function reveal(rows) {
    const mark = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!mark || !rows.some(({ row }) => row.contains(mark))) return;
    if (mark.closest("tr").hidden) {
      words.value = "";
      buttons.forEach((button) => button.setAttribute("aria-pressed", "false"));
      refresh(rows);
    }
    const fold = mark.closest("details");
    if (fold) fold.open = true;
    mark.scrollIntoView();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const rows = [...document.querySelectorAll("table.ledger [id^='row-']")].map((mark) => {
      const row = mark.closest("tr");
      const badge = row.querySelector("[class^='status-']");
      return { row, text: row.textContent.toLowerCase(), status: badge ? badge.textContent : "" };
    });
    words.addEventListener("input", () => refresh(rows));
    for (const button of buttons) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        refresh(rows);
      });
    }
    window.addEventListener("hashchange", () => reveal(rows));
    reveal(rows);
    box.hidden = false;
  });
})();
