// A link to an equation, a figure, a theorem, a term or a reference shows it, by pointer or keyboard.
// What lies on another page is in the page's #psl-previews: a folder without a server has no fetch.
const HERE = document.currentScript.src;
addEventListener("DOMContentLoaded", () => {
  const KINDS = "div.math, figure, div.proof, div.citation, dt";
  const other = JSON.parse(document.getElementById("psl-previews")?.textContent ?? "{}");
  const box = document.createElement("div");
  box.id = "psl-preview";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  let link = null, timer = 0;

  // A page without a formula of its own loads MathJax for the first that it shows.
  async function typeset() {
    if (!box.querySelector(".math")) return;
    if (!window.MathJax) {
      const script = document.createElement("script");
      script.src = new URL("mathjax/formulas.js", HERE);
      document.head.append(script);
      await new Promise((done) => { script.onload = script.onerror = done; });
    }
    await window.MathJax?.startup?.promise;
    await window.MathJax?.typesetPromise?.([box]);
  }

  function shown(href) {
    const holder = document.createElement("div");
    const here = href.startsWith("#") && document.getElementById(decodeURIComponent(href.slice(1)));
    const found = here ? here.closest(KINDS) ?? here.querySelector(":scope > figure") : null;
    if (found) holder.append(found.cloneNode(true));
    if (found?.matches("dt") && found.closest("dl.glossary")) {
      holder.append(found.nextElementSibling?.cloneNode(true) ?? "");
    } else if (found?.matches("dt")) return null;
    if (other[href]) holder.innerHTML = other[href];
    for (const old of holder.querySelectorAll(".headerlink, details")) old.remove();
    for (const old of holder.querySelectorAll("[id]")) old.removeAttribute("id");
    return holder.firstChild && holder;
  }

  function hide() {
    clearTimeout(timer);
    box.hidden = true;
    link?.removeAttribute("aria-describedby");
    link = null;
  }

  async function show(asked) {
    const holder = asked !== link && shown(asked.getAttribute("href"));
    if (!holder) return;
    hide();
    link = asked;
    link.removeAttribute("title");
    box.replaceChildren(holder);
    document.body.append(box);
    box.hidden = false;
    await typeset();
    if (asked !== link) return;
    link.setAttribute("aria-describedby", box.id);
    const at = link.getBoundingClientRect(), size = box.getBoundingClientRect();
    const below = at.bottom + size.height < innerHeight || at.top < size.height;
    box.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 24)) + scrollX}px`;
    box.style.top = `${(below ? at.bottom + 4 : at.top - size.height - 4) + scrollY}px`;
  }

  const asks = (event) => event.target.closest?.(".bd-article a.reference[href*='#']");
  addEventListener("pointerover", (event) => {
    clearTimeout(timer);
    const asked = event.pointerType === "mouse" && asks(event);
    if (asked) timer = setTimeout(show, 200, asked);
    else if (link && !box.contains(event.target)) timer = setTimeout(hide, 300);
  });
  addEventListener("focusin", (event) => (asks(event)?.matches(":focus-visible") ? show(asks(event)) : hide()));
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
});
