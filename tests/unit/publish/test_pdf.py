"""The book as a PDF: bound in order, with an outline, its links leading inside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pypdf
import pytest
from pypdf.annotations import Link

from companion.publish.browser import BROWSER, NO_BROWSER
from companion.publish.pdf import Printed, bind, book_pages, print_pages, write_pdf
from psl.errors import PSLError

ROOT = Path(__file__).parents[3]
SITE = "file:///site/"
ABOUT = {"/Title": "T", "/CreationDate": "D:20261129000000Z"}
PAGES = {
    "book/index": '<h1>First#</h1><p><a href="../notebooks/a.html#deep">to the place</a>, '
    '<a href="../notebooks/a.html">to the page</a>, <a href="https://arxiv.org/">outside</a>, '
    '<a href="../_images/a.svg">a file</a>, <a href="../book/gone.html">nowhere</a></p>'
    "<div class='wide' style='overflow: auto'><p style='width: 900px'>a line</p></div>"
    "<div style='overflow: auto'><p style='width: 800px'>a line that fits</p></div>",
    "notebooks/a": "<h1>Second</h1><div style='height: 400mm'></div>"
    "<section id='deep'><h2>A heading that says a little more#</h2></section>"
    "<details><summary>Answer</summary>folded</details>"
    "<details class='cite-page'>not on paper</details>",
}


def blank(pages: int, links: tuple[str, ...] = ()) -> bytes:
    """A PDF of empty pages with links on the first."""
    writer = pypdf.PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(200, 300)
    for address in links:
        writer.add_annotation(0, Link(rect=(0, 0, 9, 9), url=address))
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_the_pages_are_those_of_the_book_in_their_order() -> None:
    names = book_pages(ROOT)
    assert names[:2] == ["book/index", "notebooks/01-pairwise"] and "book/about" in names
    assert len(names) == len(set(names)) == (ROOT / "_toc.yml").read_text().count("file: ") + 1


def test_links_lead_inside_and_those_that_lead_nowhere_go() -> None:
    links = (f"{SITE}b.html", f"{SITE}gone.html#x", f"{SITE}data/runs.jsonl", "https://arxiv.org/")
    printed = [
        Printed("a", "A", [], blank(2, links)),
        Printed("b", "B", [("s", "Section")], blank(1)),
        Printed("", "", [], blank(3)),
    ]
    made, lost = bind(printed, SITE, ABOUT)
    assert lost == ["no such place, the link is gone: gone.html#x"], "a file's is expected"
    assert bind(printed, SITE, ABOUT)[0] == made
    reader = pypdf.PdfReader(BytesIO(made))
    inside, outside = (link.get_object() for link in reader.pages[0]["/Annots"])
    assert inside["/Dest"][0].get_object() == reader.pages[2].get_object()
    assert outside["/A"]["/URI"] == "https://arxiv.org/"
    first, second, sections = reader.outline
    assert (first.title, second.title, sections[0].title) == ("A", "B", "Section")
    assert [reader.get_destination_page_number(o) for o in (first, second)] == [0, 2]
    assert dict(reader.metadata) == ABOUT


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(PSLError, match="make book"):
        write_pdf(ROOT, tmp_path, tmp_path / "book.pdf")


@pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)
def test_a_small_site_is_printed(tmp_path: Path) -> None:
    for name, body in PAGES.items():
        page = tmp_path / f"{name}.html"
        page.parent.mkdir(exist_ok=True)
        page.write_text(f"<article class='bd-article'>{body}</article>", "utf-8")
    # In a thread: notebooks that were compared in this process leave an event loop in the main one.
    with ThreadPoolExecutor(1) as thread:
        printed = thread.submit(lambda: list(print_pages(tmp_path, PAGES))).result()
    made, lost = bind(printed, tmp_path.as_uri() + "/", ABOUT)
    assert lost == [
        "book/index: cut off at the right: p a line",
        "no such place, the link is gone: book/gone.html",
    ]
    reader = pypdf.PdfReader(BytesIO(made))
    texts = [page.extract_text() for page in reader.pages]
    assert len(texts) == 3 and [text.split()[-1] for text in texts] == ["1", "2", "3"]
    assert "folded" in texts[2] and "not on paper" not in "".join(texts)
    titles = [o[0].title if isinstance(o, list) else o.title for o in reader.outline]
    assert titles == ["First", "Second", "A heading that says a little more"]
    place, page, outside = (link.get_object() for link in reader.pages[0]["/Annots"])
    assert place["/Dest"][0].get_object() == reader.pages[2].get_object()
    assert page["/Dest"][0].get_object() == reader.pages[1].get_object()
    assert outside["/A"]["/URI"] == "https://arxiv.org/"
