"""The built site and the browser that looks at it, for the tests in ``tests/site``."""

from __future__ import annotations

from pathlib import Path

import pytest

from companion.publish.browser import BROWSER, NO_BROWSER, READY

SITE = Path(__file__).parents[2] / "book" / "_build" / "html"
PAGES = sorted(
    page.relative_to(SITE).as_posix()
    for page in SITE.rglob("*.html")
    if "_static" not in page.parts and "_sources" not in page.parts
)
READ = [name for name in PAGES if name != "index.html"]  # that one only sends the reader on

NEEDS_SITE = [
    pytest.mark.skipif(not PAGES, reason="the book has not been built: make book"),
    pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER),
]


def settle(page) -> None:
    """Wait until formulas are typeset and fonts are there."""
    page.evaluate(READY)
