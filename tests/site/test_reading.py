"""What a reader does with a page: enlarges a figure, takes it along, looks ahead, prints."""

from __future__ import annotations

import csv
import re

import pytest

from site_pages import NEEDS_SITE, READ, SITE, settle

pytestmark = NEEDS_SITE

WITH_FIGURES = [n for n in READ if "<figure" in (SITE / n).read_text("utf-8")]
# What a picture shows is not loaded before it comes near.
SHOWN = """() => [...document.querySelectorAll('figure img')].map(image => {
  const phone = image.parentElement.querySelector('source');
  const file = phone && matchMedia(phone.media).matches ? phone.srcset : image.src;
  return [decodeURI(file).split('/').pop(), image.getBoundingClientRect().width];
})"""
TEXT = re.compile(r"<g [^>]*?scale\(([\d.]+) -")


def test_figures_are_named_and_bring_their_files() -> None:
    assert len(WITH_FIGURES) >= 12
    pages = {n: page for page in WITH_FIGURES for n in files_of(page)}
    names = set(pages)
    assert len(names) > 30 and all(name.startswith("fig-") for name in names)
    for name in names:
        svg, png, data = (SITE / "_images" / f"{name}.{kind}" for kind in ("svg", "png", "csv"))
        assert "dc:description" not in svg.read_text("utf-8"), f"{name} has its data twice"
        assert png.read_bytes().startswith(b"\x89PNG")
        rows = list(csv.reader(data.read_text("utf-8").splitlines()))
        assert len(rows) > 1 and len({len(row) for row in rows}) == 1, name
        entry = (SITE / "_images" / f"{name}.bib").read_text("utf-8")
        page = pages[name].split("/")[1].removesuffix(".html")
        assert entry.startswith(f"@incollection{{pslcompanion-{page}-{name},"), name
        assert f'id="{name}"' in (SITE / pages[name]).read_text("utf-8"), name


def files_of(page: str) -> list[str]:
    return re.findall(
        r'<img [^>]*src="\.\./_images/([^"]+)\.svg"', (SITE / page).read_text("utf-8")
    )


def test_a_figure_of_recorded_runs_names_them() -> None:
    fold = (SITE / "notebooks/07-noise.html").read_text("utf-8").split('class="figure-files"')[1]
    assert re.search(r"From \d+ recorded runs, seeds 0, 1", fold.partition("</details>")[0])
    assert "psl records rerun --experiment health" in fold


def test_lettering_of_figures_is_readable_on_a_phone(browser, bases: dict[str, str]) -> None:
    """At least 11 pixels; exponents are smaller, as in print."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    small = {}
    for name in WITH_FIGURES:
        page.goto(bases["file"] + name, wait_until="load")
        widths = page.evaluate(SHOWN)
        for file, width in widths:
            assert file.endswith("-phone.svg") and width <= 390, file
            text = (SITE / "_images" / file).read_text("utf-8")
            box = float(re.search(r'viewBox="0 0 ([\d.]+)', text)[1])
            sizes = [100 * float(scale) * width / box for scale in TEXT.findall(text)]
            assert sizes, file
            if min(sizes) < 11:
                small[file] = min(sizes)
    page.close()
    assert not small


FORMULAS = """() => {
  const cut = [...document.querySelectorAll('.bd-article div.math')].filter(box => {
    const drawn = box.querySelector('mjx-math')?.getBoundingClientRect();
    return drawn?.width && drawn.right > box.getBoundingClientRect().right + 4;
  });
  const apart = [...document.querySelectorAll('.bd-article span.math')].filter(math => {
    const behind = math.nextSibling;
    if (!/^[.,;:]/.test(behind?.data ?? '') || !math.checkVisibility()) return false;
    const range = document.createRange();
    range.setStart(behind, 0);
    range.setEnd(behind, 1);
    return range.getBoundingClientRect().top > math.getBoundingClientRect().bottom;
  });
  return [...cut, ...apart].map(x => x.id || x.textContent);
}"""


def test_formulas_fit_a_phone_and_a_stop_stays_beside_its_formula(browser, bases) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    wrong = {}
    for name in (n for n in READ if n.startswith("notebooks/")):
        page.goto(bases["file"] + name, wait_until="load")
        settle(page)
        if found := page.evaluate(FORMULAS):
            wrong[name] = found
    page.close()
    assert not wrong


def test_wide_tables_scroll_and_their_first_column_stays(browser, bases: dict[str, str]) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(bases["file"] + "notebooks/07-noise.html", wait_until="load")
    moved = page.evaluate("""() => {
      const table = [...document.querySelectorAll('table.ledger.numbers')]
        .find(t => t.scrollWidth > 450);
      const box = table.closest('.output');
      const cells = table.querySelectorAll('tbody tr:first-child *');
      const at = () => [cells[0], cells[cells.length - 1]].map(c => c.getBoundingClientRect().left);
      const before = at();
      box.scrollLeft = 100;
      return at().map((left, k) => left - before[k]);
    }""")
    page.close()
    assert abs(moved[0]) < 20 and moved[1] == pytest.approx(-100, abs=1)


def test_a_click_enlarges_a_figure_and_escape_brings_the_page_back(browser, bases) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(bases["file"] + "notebooks/07-noise.html", wait_until="load")
    link = page.locator("a.figure-zoom").first
    link.focus()
    page.keyboard.press("Enter")
    large = page.locator("dialog.figure-large img")
    assert large.bounding_box()["width"] > 1.3 * link.locator("img").bounding_box()["width"]
    page.keyboard.press("Escape")
    large.wait_for(state="detached")
    assert link.evaluate("link => link === document.activeElement")
    page.close()


@pytest.mark.parametrize("way", ["http", "file"])
@pytest.mark.parametrize(
    ("chapter", "link", "shown"),
    [
        ("03-dro", "a.reference[href^='#equation-']", "mjx-container"),
        ("03-dro", "a.reference[href*='references.html#']", "div.citation"),
        ("07-noise", "a.reference[href^='#fig-']", "img"),
    ],
)
def test_a_link_shows_what_it_points_at(browser, bases, way, chapter, link, shown) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{bases[way]}notebooks/{chapter}.html", wait_until="load")
    settle(page)
    box, asked = page.locator("#psl-preview"), page.locator(f".bd-article {link}").first
    asked.hover()
    box.locator(shown).first.wait_for(timeout=5_000)
    assert asked.get_attribute("aria-describedby") == "psl-preview"
    page.keyboard.press("Escape")
    assert not box.is_visible() and asked.get_attribute("aria-describedby") is None
    page.mouse.move(0, 0)
    page.keyboard.press("Tab")  # the keyboard's focus is seen from here on
    asked.focus()
    box.locator(shown).first.wait_for(timeout=5_000)
    assert page.evaluate("document.querySelectorAll('#psl-preview [id]').length") == 0
    page.close()


PRINTED = """() => {
  dispatchEvent(new Event('beforeprint'));
  const seen = s => [...document.querySelectorAll(s)].filter(e => e.checkVisibility()).length;
  const open = {
    theme: document.documentElement.dataset.theme,
    aside: seen('.bd-sidebar-primary, .bd-sidebar-secondary, .prev-next-area, .headerlink'),
    shut: document.querySelectorAll('details:not([open])').length,
    address: getComputedStyle(document.querySelector('.bd-article a.external'), '::after').content,
  };
  dispatchEvent(new Event('afterprint'));
  return {...open, again: document.documentElement.dataset.theme,
    folds: document.querySelectorAll('details:not([open])').length};
}"""


def test_paper_has_the_text_alone_with_every_fold_open(browser, bases: dict[str, str]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script("localStorage.setItem('mode', 'dark')")
    page.goto(bases["file"] + "book/references.html", wait_until="load")
    address = page.locator(".bd-article a.external").first.get_attribute("href")
    page.emulate_media(media="print")
    seen = page.evaluate(PRINTED)
    assert seen["theme"] == "light" and seen["again"] == "dark"
    assert seen["aside"] == 0 and address in seen["address"]
    page.goto(bases["file"] + "notebooks/07-noise.html", wait_until="load")
    folds = page.locator("details:not([open])").count()
    page.evaluate(
        "document.querySelector('.bd-article').append(Object.assign("
        "document.createElement('a'), {className: 'external', href: 'https://a.b'}))"
    )
    seen = page.evaluate(PRINTED)
    assert seen["shut"] == 0 and seen["folds"] == folds > 5
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
