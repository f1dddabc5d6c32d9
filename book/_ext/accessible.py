"""What theme and writers say wrongly to a screen reader, said rightly; axe-core holds it in tests.

* A fold is called by what stands on it, and not "Toggle hidden content" every time.
* The list of references has links between its entries, so it is no ARIA list, and the role of an
  entry is one that ARIA no longer knows.
* The search button is called by what stands on it, its keys too.
* The sidebar with the book's title is a landmark.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

MENDS = {
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    ' role="doc-biblioentry"': "",
    'pst-js-only" title="Search" aria-label="Search"': 'pst-js-only" title="Search"',
    'id="pst-primary-sidebar" class=': 'id="pst-primary-sidebar" role="region" aria-label="Book" '
    "class=",
}


def mend(app: Sphinx, exception: Exception | None) -> None:
    """Mend every page of the site; one that an earlier build wrote stays as it is."""
    if exception is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        before = text = page.read_text(encoding="utf-8")
        for wrong, right in MENDS.items():
            text = text.replace(wrong, right)
        if text != before:
            page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", mend, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
