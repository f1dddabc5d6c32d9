"""The built book as one PDF: Chromium prints each page, pypdf binds them.

What the print style of the site shows is what is printed: folds open, explorers as they first look.
Links from page to page lead to the place in the PDF; a link to another file of the site goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import yaml

from companion.publish.browser import BROWSER, NO_BROWSER, READY
from companion.publish.cite import build_of
from companion.publish.source import read_source
from psl.errors import PSLError
from psl.files import replace_file

__all__ = ["Printed", "bind", "book_pages", "write_pdf"]

SIZE: dict[str, Any] = {"width": "210mm", "height": "297mm"}
SCALE, WIDTH = 0.8, 841  # of 178 mm of paper between the margins: pixels of the page
MARGINS: Any = {"top": "16mm", "bottom": "20mm", "left": "16mm", "right": "16mm"}
# What is of the site alone: how a page is cited, files of figures, folded code, and the longest
# tables, which `data/claims.csv` holds.
STYLE = """
.cite-page, .figure-files, .bd-footer-content, .skip-link, details.admonition.hide,
#jb-print-toc, details:has(tr:nth-child(101)) table { display: none !important; }
details:has(tr:nth-child(101)) > summary::after { content: " (on the site)"; }
.bd-article h1 { margin: 0 0 1em; font-size: 2em; }
.bd-article div.cell_input, .bd-article div.highlight { break-inside: avoid; }
.bd-article p:has(> [class^="label-"]:last-child) { break-after: avoid; }
.book-anchor { position: absolute; width: 1px; height: 1px; overflow: hidden; }
"""
# Chromium keeps the place of an element where a link of the same page leads to it.
KEEP_PLACES = """places => {
  for (const name of places.filter(name => document.getElementById(name))) {
    const link = document.createElement("a");
    link.href = "#" + name;
    link.textContent = ".";
    link.className = "book-anchor";
    document.querySelector(".bd-article").append(link);
  }
}"""
# What reaches beyond its box and would lose its end on paper.
CLIPPED = """() => [...document.querySelectorAll(
    ".bd-article :is(mjx-math, table, svg, img, pre, p)")]
  .filter(e => e.checkVisibility() && e.getBoundingClientRect().right
    > e.closest("div.math, div.proof, figure, .bd-article").getBoundingClientRect().right + 2)
  .map(e => e.localName + " " + e.textContent.replace(/\\s+/g, " ").slice(0, 60))"""
LOAD_IMAGES = """async () => {
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
}"""
HEADINGS = """() => [...document.querySelectorAll(".bd-article section[id] > h2")]
  .map(head => [head.parentElement.id, head.innerText.replace(/#\\s*$/, "").trim()])"""
LINKS = "() => [...document.querySelectorAll('.bd-article a[href]')].map(a => a.href)"
NUMBER = """<style>@page { margin: 0 } body { margin: 0; font: 8pt sans-serif; color: #555 }
div { height: 285mm; padding-top: 0; break-after: page; position: relative }
span { position: absolute; top: 281mm; width: 210mm; text-align: center }</style>"""


def book_pages(root: Path) -> list[str]:
    """Return the pages of the book in their order, ``book/index`` first, from ``_toc.yml``."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = (c["file"] for part in toc["parts"] for c in part["chapters"])
    return [toc["root"], *chapters]


def _split(address: str, site: str) -> tuple[str, str]:
    """Return page and place of an address in the site; empty for one that is elsewhere."""
    if not address.startswith(site):
        return "", ""
    page, _, place = address.removeprefix(site).partition("#")
    return page.removesuffix(".html"), unquote(place)


class Printed(NamedTuple):
    """A printed page: its name, title, sections (place and title), PDF, and what is cut off."""

    name: str
    title: str
    sections: list[tuple[str, str]]
    pdf: bytes
    clipped: tuple[str, ...] = ()


def print_pages(site: Path, names: Iterable[str]) -> Iterator[Printed]:
    """Yield each page; last, without a name, the page numbers of them all."""
    from playwright.sync_api import sync_playwright

    if BROWSER is None:
        raise PSLError(f"{NO_BROWSER}; the PDF is printed by one")
    base, names = site.resolve().as_uri() + "/", list(names)
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light", viewport={"width": WIDTH, "height": 1200})
        wanted: set[tuple[str, str]] = set()
        for name in names:
            page.goto(f"{base}{name}.html")
            wanted |= {_split(address, base) for address in page.evaluate(LINKS)}
        count = 0
        for name in names:
            page.goto(f"{base}{name}.html", wait_until="load")
            page.evaluate(LOAD_IMAGES)
            page.evaluate(READY)
            page.add_style_tag(content=STYLE)
            heads = page.evaluate(HEADINGS)
            places = {place for target, place in wanted if target == name and place}
            page.evaluate(KEEP_PLACES, sorted(places | {place for place, _ in heads}))
            page.evaluate("() => document.querySelectorAll('details').forEach(d => d.open = true)")
            page.emulate_media(media="print", color_scheme="light")
            page.evaluate("() => document.documentElement.dataset.theme = 'light'")
            title = page.locator("h1").first.inner_text().rstrip("#").strip()
            clipped = page.evaluate(CLIPPED)
            printed = page.pdf(**SIZE, margin=MARGINS, scale=SCALE, print_background=True)
            count += _page_count(printed)
            page.emulate_media(media="screen")
            yield Printed(name, title, heads, printed, tuple(clipped))
        numbers = (f"<div><span>{k}</span></div>" for k in range(1, count + 1))
        page.set_content(NUMBER + "".join(numbers))
        yield Printed("", "", [], page.pdf(**SIZE, print_background=False))
        browser.close()


def _page_count(pdf: bytes) -> int:
    from pypdf import PdfReader

    return len(PdfReader(BytesIO(pdf)).pages)


def bind(printed: Iterable[Printed], site: str, about: dict[str, str]) -> tuple[bytes, list[str]]:
    """Bind printed pages to one PDF.

    Parameters
    ----------
    printed : iterable of Printed
        As :func:`print_pages` yields them.
    site : str
        Address that the pages were printed from, with a slash at its end.
    about : dict
        Entries of the PDF's information, ``/Title`` and the like.

    Returns
    -------
    pdf : bytes
        The same for the same pages.
    lost : list of str
        What is wider than the paper, and links to pages that lead nowhere in the PDF. These are
        gone, as are links to other files of the site.
    """
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import Fit

    writer, first, lost = PdfWriter(), {}, []
    places: dict[tuple[str, str], tuple[int, float]] = {}
    for name, title, sections, content, clipped in printed:
        lost += [f"{name}: cut off at the right: {text}" for text in clipped]
        reader = PdfReader(BytesIO(content))
        if not name:
            for page, stamp in zip(writer.pages, reader.pages, strict=False):
                page.merge_page(stamp)
                page.compress_content_streams()
            continue
        first[name] = len(writer.pages)
        for place, found in reader.named_destinations.items():
            number = reader.get_destination_page_number(found)
            if number is not None:
                key = name, unquote(str(place).lstrip("/"))
                places[key] = first[name] + number, float(found.top or 0)
        writer.append(reader, import_outline=False)
        above = writer.add_outline_item(title=title, page_number=first[name])
        for place, head in sections:
            number, top = places.get((name, place), (first[name], 0.0))
            writer.add_outline_item(
                title=head, page_number=number, parent=above, fit=Fit.xyz(top=top)
            )
    lost += _lead_links(writer, site, first, places)
    writer.compress_identical_objects(remove_duplicates=True, remove_unreferenced=True)
    writer.metadata = None
    writer.add_metadata(about)
    writer.page_mode = "/UseOutlines"
    out = BytesIO()
    writer.write(out)
    return out.getvalue(), lost


def _lead_links(
    writer: Any, site: str, first: dict[str, int], places: dict[tuple[str, str], tuple[int, float]]
) -> list[str]:
    """Let links into the site lead to their place in the PDF; return those that have none."""
    from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject

    lost = []
    for page in writer.pages:
        kept = ArrayObject()
        for reference in page.get("/Annots", ()):
            link = reference.get_object()
            action = link.get("/A", {}).get_object() if "/A" in link else {}
            address = str(action.get("/URI", ""))
            if not address.startswith(site):
                kept.append(reference)
                continue
            name, place = _split(address, site)
            number, top = places.get((name, place), (first.get(name), None))
            if number is None:
                if ".html" in address:
                    lost.append(f"no such place, the link is gone: {address.removeprefix(site)}")
                continue
            there = NullObject() if top is None else FloatObject(top)
            target = writer.pages[number].indirect_reference
            fit = [target, NameObject("/XYZ"), NullObject(), there, NullObject()]
            del link["/A"]
            link[NameObject("/Dest")] = ArrayObject(fit)
            kept.append(reference)
        if "/Annots" in page:
            page[NameObject("/Annots")] = kept
    return sorted(set(lost))


def write_pdf(root: Path, site: Path, output: Path) -> list[str]:
    """Print the built book of a checkout to one PDF; return what could not be kept.

    Raises
    ------
    PSLError
        If the book has not been built, or there is no browser.
    """
    source, build, names = read_source(root), build_of(root), book_pages(root)
    for name in names:
        if not (site / f"{name}.html").is_file():
            raise PSLError(f"{site / name}.html: no such page; `make book` builds it")
    about = {
        "/Title": source.cff["title"],
        "/Author": ", ".join(source.authors),
        "/Subject": ", ".join(filter(None, (f"version {source.cff['version']}", str(build)))),
        "/CreationDate": f"D:{datetime.fromtimestamp(build.seconds, UTC):%Y%m%d%H%M%SZ}",
    }
    printed = print_pages(site, names)
    pdf, lost = bind(printed, site.resolve().as_uri() + "/", about)
    replace_file(output, pdf)
    return lost
