// Show the rows with what is searched for, as a phrase or else word by word, and a chosen status;
// a list with such a row opens, and the grids of values give way.  A hyphen is a space, and Fig. 2,
// figure2 and Figures 2 are one: each finds what it means.
(() => {
  const box = document.currentScript.parentElement;
  const words = box.querySelector("input");
  const said = box.querySelector("output");
  const buttons = [...box.querySelectorAll("button")];
  let grids = [];

  const plain = (text) => text.toLowerCase().replace(/[\s-]+/g, " ")
    .replace(/\bfig(?:ures?|\.)? ?(?=\d)/g, "figure ").replace(/\btables? ?(?=\d)/g, "table ").trim();

  function refresh(rows) {
    const phrase = plain(words.value);
    const whole = rows.some(({ text }) => text.includes(phrase));
    const wanted = whole ? [phrase] : phrase.split(" ");
    const chosen = buttons.filter((b) => b.getAttribute("aria-pressed") === "true");
    const statuses = chosen.map((b) => b.textContent);
    const asked = phrase !== "" || statuses.length > 0;
    const lists = new Map();
    let shown = 0;
    for (const { row, text, status, list } of rows) {
      const fits = wanted.every((word) => text.includes(word))
        && (!statuses.length || statuses.includes(status));
      row.hidden = asked && !fits;
      lists.set(list, (lists.get(list) || 0) + !row.hidden);
      shown += !row.hidden;
    }
    for (const [list, count] of lists) {
      list.hidden = !count;
      list.open = asked && count > 0;
      list.querySelector("summary")?.setAttribute("data-found", asked ? `: ${count} found` : "");
    }
    for (const grid of grids) grid.hidden = asked;
    said.textContent = asked ? `${shown} of ${rows.length} rows` : "";
  }

  // A link to a row shows it, whatever is searched for and wherever it is folded.
  function reveal(rows) {
    const mark = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const found = mark && rows.find(({ row }) => row.contains(mark));
    if (!found) return;
    if (found.row.hidden) {
      words.value = "";
      buttons.forEach((button) => button.setAttribute("aria-pressed", "false"));
      refresh(rows);
    }
    found.list.open = true;
    found.row.scrollIntoView({ block: "center" });  // the header hides the upper end
  }

  document.addEventListener("DOMContentLoaded", () => {
    grids = [...document.querySelectorAll(".paper-tables:not(.matrix)")];
    const rows = [...document.querySelectorAll("table.ledger [id^='row-']")].map((mark) => {
      const row = mark.closest("tr");
      const badge = row.querySelector("[class^='status-']");
      const list = row.closest("details") || row.closest("table");
      // The place in the paper, without the counts behind it.
      const place = list.querySelector("summary")?.textContent.split(/, \d/)[0] ?? "";
      return {
        row,
        list,
        text: plain(`${place} ${row.textContent}`),
        status: badge ? badge.textContent : "",
      };
    });
    words.addEventListener("input", () => refresh(rows));
    for (const button of buttons) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        refresh(rows);
      });
    }
    window.addEventListener("hashchange", () => reveal(rows));
    window.addEventListener("load", () => reveal(rows));  // figures above have their height by then
    reveal(rows);
    box.hidden = false;
  });
})();
