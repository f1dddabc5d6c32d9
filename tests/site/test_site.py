"""The built site in a real browser, over http and from the folder.

No console error, no request to others, every image there and described, every formula typeset.
Build first (`make book`); without a site or a browser these tests are skipped and say so.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tarfile

import pytest
from jsonschema import validate

import psl
from browser import offline_page
from companion.claims import STATUSES_FILE, read_statuses
from site_pages import NEEDS_SITE, PAGES, READ, SITE, settle

RESULTS = SITE.parents[2] / "results"
WITH_MATHS = {"notebooks/01-pairwise.html", "notebooks/02-surrogates.html", "notebooks/03-dro.html"}

pytestmark = NEEDS_SITE

LOOK = """() => {
  const images = [...document.images];
  const drawings = [...document.querySelectorAll('.bd-article svg')].filter(
    s => s.getBoundingClientRect().width > 100 && !s.closest('mjx-container, button'));
  return {
    formulas: document.querySelectorAll('.math').length,
    typeset: document.querySelectorAll('mjx-container').length,
    mistakes: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
      .map(e => e.textContent),
    broken: images.filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.src),
    undescribed: images.filter(i => !i.closest('.navbar-brand, .sidebar-primary-item'))
      .filter(i => !i.alt.trim() || /\\.(png|svg|jpe?g)$/.test(i.alt)).map(i => i.src),
    unnamed: drawings.filter(
      s => !s.getAttribute('aria-label') && !s.getAttribute('aria-labelledby')
        && !s.querySelector('title') && s.getAttribute('aria-hidden') !== 'true'
    ).map(s => s.outerHTML.slice(0, 80)),
    fonts: [...document.fonts].filter(f => f.status === 'error').map(f => f.family),
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    cut: [...document.querySelectorAll('.bd-article pre, .bd-article .cell_output .output')]
      .filter(e => e.scrollWidth > e.clientWidth + 1)
      .map(e => e.innerText.slice(0, 80)),
    heading: document.querySelectorAll('.bd-article h1').length,
  }
}"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("way", ["http", "file"])
def test_page(browser, bases: dict[str, str], way: str, name: str) -> None:
    base, strangers, complaints = bases[way], [], []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on(
        "request",
        lambda r: None if r.url.startswith((base, "data:", "blob:")) else strangers.append(r.url),
    )
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda r: complaints.append(f"{r.url}: {r.failure}"))
    page.on("response", lambda r: complaints.append(r.url) if r.status >= 400 else None)
    try:
        page.goto(base + name, wait_until="load")
        if name == "index.html":  # sends the reader on to the first page
            page.wait_for_url("**/book/index.html")
            page.wait_for_load_state("load")
        # Lazy images load when they are looked at.
        page.evaluate(
            "() => document.images.length && [...document.images].forEach(i => i.loading = 'eager')"
        )
        settle(page)
        page.wait_for_function("() => [...document.images].every(i => i.complete)")
        seen = page.evaluate(LOOK)
    finally:
        page.close()
    assert not strangers, "the page asks others"
    assert not complaints
    for fault in ("mistakes", "broken", "undescribed", "unnamed", "fonts", "cut"):
        assert not seen[fault], fault
    assert seen["wide"] <= 1, "the page scrolls sideways"
    if seen["formulas"] or name in WITH_MATHS:
        assert seen["typeset"] >= max(1, seen["formulas"]), "formulas are not typeset"
    if name.startswith(("book/", "notebooks/")):
        assert seen["heading"] == 1


PHONE = """() => ({
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  beside: [...document.querySelectorAll('div.math:has(.eqno)')].filter(e =>
    e.querySelector('.eqno').getBoundingClientRect().top
      < e.querySelector('mjx-container').getBoundingClientRect().bottom - 1
  ).map(e => e.id),
  cut: [...document.querySelectorAll('.bd-article p mjx-container:not([display])')].filter(e => {
    const end = e.closest('p').getBoundingClientRect().right + 1;
    return e.closest('table, details:not([open])') === null
      && [...e.querySelectorAll(':scope > mjx-math > *')].some(
        part => part.getBoundingClientRect().right > end);
  }).map(e => e.textContent),
})"""


@pytest.mark.parametrize("name", READ)
def test_page_on_a_phone(browser, bases: dict[str, str], name: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    try:
        page.goto(bases["file"] + name, wait_until="load")
        settle(page)
        seen = page.evaluate(PHONE)
    finally:
        page.close()
    assert seen["wide"] <= 1, "the page scrolls sideways"
    assert not seen["beside"], "a number cuts its formula off"
    assert not seen["cut"], "a formula in a line is cut off"


# Luminance by WCAG of what is seen behind an element: the first ground that is not transparent.
DARK = """() => {
  const light = c => c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4).reduce((a, v, k) => a + v * [0.2126, 0.7152, 0.0722][k], 0);
  const numbers = c => c.match(/[\\d.]+/g).map(Number);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = numbers(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0.5) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const contrast = e => {
    const two = [numbers(getComputedStyle(e).color).slice(0, 3), ground(e)].map(light);
    return (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
  };
  const texts = '.cell_output td, .cell_output td a, .cell_output th, .psl-explorer .said, '
    + 'figcaption p, .paper-tables .cell, .verdict-cards p, .verdict-cards dd';
  return {
    theme: document.documentElement.dataset.theme,
    faint: [...document.querySelectorAll(texts)].filter(e => e.innerText.trim())
      .filter(e => contrast(e) < 4.5).map(e => e.innerText.slice(0, 40)),
    light: [...document.querySelectorAll('.cell_output img, .psl-explorer svg')].filter(e => {
      const style = getComputedStyle(e);
      return style.filter !== 'invert(0.93) hue-rotate(180deg)'
        || style.backgroundColor !== 'rgb(255, 255, 255)';
    }).length,
  };
}"""


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("notebooks/")])
def test_page_in_the_dark(browser, bases: dict[str, str], name: str) -> None:
    page = browser.new_page()
    page.add_init_script("localStorage.setItem('mode', 'dark')")
    try:
        page.goto(bases["file"] + name, wait_until="load")
        seen = page.evaluate(DARK)
    finally:
        page.close()
    assert seen == {"theme": "dark", "faint": [], "light": 0}


def test_pages_name_the_licence_and_write_to_nobody() -> None:
    chapters = [name for name in PAGES if name.startswith(("book/", "notebooks/"))]
    assert chapters
    for name in chapters:
        text = (SITE / name).read_text("utf-8")
        assert "CC BY 4.0" in text.partition('<footer class="bd-footer-content">')[2], name
        assert "mailto:" not in text, f"{name}: a metric with an @ needs double backticks"


@pytest.mark.parametrize("way", ["http", "file"])
def test_search_finds_a_word(browser, bases: dict[str, str], way: str) -> None:
    page = browser.new_page()
    try:
        page.goto(f"{bases[way]}search.html?q=softmax", wait_until="load")
        page.wait_for_selector("#search-results li", timeout=10_000)
        assert page.locator("#search-results li").count() >= 1
    finally:
        page.close()


@pytest.mark.parametrize("way", ["http", "file"])
def test_search_leads_to_what_it_names(browser, bases: dict[str, str], way: str) -> None:
    """With excerpts where pages can be fetched, and no error where they cannot."""
    leads = {
        "Figure 2": "notebooks/07-noise.html",
        "Fig. 2": "notebooks/07-noise.html",
        "table 1": "notebooks/06-iid.html",
        "how to cite": "book/index.html",
        "licence": "book/about.html",
        "learning rate": "notebooks/15-decision.html",
        "false negatives": "notebooks/07-noise.html",
    }
    page, faults = browser.new_context().new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: m.type == "error" and faults.append(m.text))
    for words, leads_to in leads.items():
        page.goto(f"{bases[way]}search.html?q={words.replace(' ', '+')}", wait_until="load")
        first = page.locator("#search-results li").first
        first.wait_for(timeout=10_000)
        assert leads_to in first.locator("a").get_attribute("href"), words
        if way == "http":
            first.locator("p.context").wait_for(timeout=10_000)
    page.wait_for_load_state("networkidle")
    assert not faults and (way == "http") == bool(page.locator("p.context").count())
    page.context.close()


def test_an_excerpt_is_prose(browser, bases: dict[str, str]) -> None:
    no_prose = (r"\\[()\[\]]", r"^\s*(import|from) \w+", r"figures\.use_style")
    no_prose += (r"^\s*Contents\b", r"\.pdf\b", "Files: SVG")
    page = browser.new_page()
    for word in ("temperature", "gradient", "seed", "recall"):
        page.goto(f"{bases['http']}search.html?q={word}", wait_until="load")
        page.locator("p.context").first.wait_for(timeout=10_000)
        page.wait_for_load_state("networkidle")
        for text in page.locator("p.context").all_inner_texts():
            assert not re.search("|".join(no_prose), text, re.M), text
    page.close()


def test_on_a_phone_a_link_of_the_contents_closes_them(browser, bases: dict[str, str]) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(f"{bases['file']}notebooks/15-decision.html", wait_until="load")
    page.locator("button.secondary-toggle").filter(visible=True).click()
    box = page.locator("dialog[open]")
    box.locator("a[href='#what-to-do']").click()
    box.wait_for(state="detached")
    assert page.url.endswith("#what-to-do")
    context.close()


def test_nothing_of_the_site_names_a_content_network() -> None:
    hosts = ("unpkg.com", "cdn.jsdelivr.net", "cdnjs.cloudflare.com", "fonts.googleapis.com")
    found = {
        (page, host)
        for page in PAGES
        for host in hosts
        if f'src="https://{host}' in (text := (SITE / page).read_text("utf-8"))
        or f'href="https://{host}' in text
    }
    assert not found


def test_size_stays_small() -> None:
    sources = SITE / "data" / "psl-companion.tar.gz"
    size = sum(p.stat().st_size for p in SITE.rglob("*") if p.is_file() and p != sources)
    assert size < 25_000_000, f"the site weighs {size / 1e6:.1f} MB"
    assert sources.stat().st_size < 4_000_000


def test_a_page_is_light(browser, bases: dict[str, str]) -> None:
    """All that a laptop loads at first, in bytes; a page without a formula loads no MathJax."""
    heavy = {}
    for name in READ:
        page, loaded = browser.new_page(viewport={"width": 1440, "height": 900}), []
        page.on("response", lambda r, loaded=loaded: loaded.append(r))
        page.goto(bases["http"] + name, wait_until="load")
        settle(page)
        total = sum(int(r.headers.get("content-length", 0)) for r in loaded)
        formulas = page.locator(".math").count()
        scripts = any("mathjax" in r.url for r in loaded)
        if total > 1_500_000 or scripts != bool(formulas):
            heavy[name] = total, formulas, scripts
        page.close()
    assert not heavy


def test_the_verdict_is_short_on_a_phone_and_each_row_is_reached(browser, bases) -> None:
    address = bases["file"] + "notebooks/17-status.html"
    for script in (True, False):
        context = browser.new_context(
            viewport={"width": 390, "height": 844}, java_script_enabled=script
        )
        page = context.new_page()
        page.goto(f"{address}#row-eq-2.1", wait_until="load")
        assert page.locator("[id='row-eq-2.1']").is_visible()
        assert page.locator("details:has(> table.ledger) > summary:visible").count() > 15
        if script:
            page.goto("about:blank")
            page.goto(address, wait_until="load")
            settle(page)
            assert page.evaluate("document.documentElement.scrollHeight") < 21_000
        context.close()


def test_the_ledger_is_searched_and_a_row_has_an_address(browser, bases) -> None:
    """Offline; rows of the same statement in other lists of the page stay as they are."""
    page, faults = offline_page(browser, bases["file"] + "notebooks/17-status.html#row-eq-2.1")
    rows = page.locator("table.ledger tr:has([id^='row-'])")
    box, every = page.locator(".ledger-filter"), rows.count()
    assert every > 900 and page.locator("[id='row-eq-2.1']").is_visible()
    box.locator("input").fill("ndcg@20 GOWALLA mf")
    shown = rows.filter(visible=True)
    some = shown.count()
    assert 0 < some < every and box.locator("output").inner_text() == f"{some} of {every} rows"
    assert all("gowalla" in text.lower() for text in shown.all_inner_texts())
    grids = page.locator(".paper-tables:not(.matrix)")
    found = page.locator("summary[data-found]").filter(visible=True)
    told = found.evaluate_all("all => all.map(one => one.dataset.found)")
    assert grids.count() and not grids.filter(visible=True).count()
    assert sum(int(re.search(r"\d+", text)[0]) for text in told) == some
    places = rows.evaluate_all("""rows => rows.map(row =>
      (row.closest("details")?.querySelector("summary").textContent ?? "") + row.textContent)""")
    of_figure = sum(bool(re.search(r"\bfigures?[ -]2\b", text, re.I)) for text in places)
    for words in ("Figure 2", "figure-2", "Fig. 2", "figure2"):
        box.locator("input").fill(words)
        assert shown.count() == of_figure >= 200, words
    box.locator("input").fill("ndcg@20 GOWALLA mf")
    box.get_by_role("button", name="reproduced").click()
    badges = shown.locator("[class^='status-']").all_inner_texts()
    assert 0 < len(badges) < some and set(badges) == {"reproduced"}
    box.locator("input").fill("")
    box.get_by_role("button", name="reproduced").click()
    assert grids.filter(visible=True).count() == grids.count()
    assert not rows.evaluate_all("rows => rows.some(row => row.hidden)") and not faults
    lost = "all => all.filter(a => !document.getElementById(a.hash.slice(1))).map(a => a.hash)"
    links = page.locator(".paper-tables a.cell, .verdict-cards a[href^='#']")
    assert links.count() > 400 and links.evaluate_all(lost) == []
    page.context.close()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(bases["file"] + "notebooks/17-status.html")
    assert not plain.locator(".ledger-filter").is_visible()
    plain.context.close()


def test_the_site_brings_its_data_and_each_page_how_it_is_cited() -> None:
    data = SITE / "data"
    ledger = json.loads((data / "claims.json").read_text("utf-8"))
    assert len(ledger) > 900
    validate(ledger, json.loads((data / "claims.schema.json").read_text("utf-8")))
    kept = read_statuses((RESULTS / STATUSES_FILE).read_text("utf-8"))
    assert {row["id"]: row["status"] for row in ledger} == kept
    with (data / "claims.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    for key in ("id", "status", "evidence"):
        assert [row[key] for row in table] == [row[key] for row in ledger]
    with tarfile.open(data / "psl-companion.tar.gz") as archive:
        names = set(archive.getnames())
    asked = ("Makefile", "README.md", "psl/__init__.py", "book/index.md", "results/table1.jsonl")
    assert {f"psl-companion/{name}" for name in asked} <= names
    text = (data / "runs.jsonl").read_bytes()
    measured = (data / "dynamics.jsonl").read_bytes()
    assert (data / "trials.jsonl").read_bytes() and (data / "trial.schema.json").exists()
    known = {json.loads(line)["run_id"] for line in (text + measured).splitlines()}
    assert {run for row in ledger for run in row["runs"]} <= known
    digest = hashlib.sha256(text).hexdigest()[:12]
    assert "cff-version" in (data / "CITATION.cff").read_text("utf-8")
    for name in PAGES:
        page = (SITE / name).read_text("utf-8")
        if name.startswith(("book/", "notebooks/")):
            assert f"psl {psl.__version__}" in page and '<meta name="description"' in page, name
            assert f"run records {digest} (SHA-256)" in page, name
            entry = f"@incollection{{pslcompanion-{name.split('/')[1].removesuffix('.html')},"
            assert entry in page and "container-title" in page, name


def test_a_citation_is_copied(browser, bases: dict[str, str]) -> None:
    page, faults = offline_page(browser, bases["file"] + "book/symbols.html")
    fold = page.locator("details.cite-page")
    fold.locator("summary").click()
    assert fold.locator("button.copybtn").count() == 2 and not faults
    page.context.close()
