"""What a link to another page shows of it: an equation, a figure, a theorem, a term, a reference.

``book/_static/previews.js`` shows it beside the link.  A page that is opened from a folder cannot
read another one, so each brings what its own links point at, as JSON.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

LINK = re.compile(r'<a class="reference internal" href="([^"#]+\.html)#([^"]+)"')
BROUGHT = re.compile(r'<script type="application/json" id="psl-previews">.*?</script>\n', re.DOTALL)
KINDS = ("math", "proof", "citation")


def preview(page: BeautifulSoup, anchor: str) -> str:
    """Return what stands at an anchor, if it is of a kind that is shown; else nothing."""
    found = page.find(id=anchor)
    if not isinstance(found, Tag):
        return ""
    if found.name == "dt" and found.find_parent("dl", class_="glossary"):
        return str(found) + str(found.find_next_sibling("dd"))
    if found.name == "figure" or any(kind in found.get("class", []) for kind in KINDS):
        return str(found)
    return ""


def bring(app: Sphinx, exception: Exception | None) -> None:
    """Write into each page what its links to other pages point at."""
    if exception is not None or app.builder.format != "html":
        return
    parsed = cache(lambda path: BeautifulSoup(path.read_text("utf-8"), "html.parser"))
    for page in sorted(Path(app.outdir).glob("*/*.html")):  # in folders: pages of equal depth
        before = page.read_text("utf-8")
        text = BROUGHT.sub("", before)
        shown = {}
        for file, anchor in dict.fromkeys(LINK.findall(text)):
            target = (page.parent / file).resolve()
            if target != page and target.is_file() and (found := preview(parsed(target), anchor)):
                shown[f"{file}#{anchor}"] = found
        if shown:
            data = json.dumps(shown, ensure_ascii=False).replace("</", "<\\/")
            script = f'<script type="application/json" id="psl-previews">{data}</script>\n'
            text = text.replace("</body>", f"{script}</body>")
        if text != before:
            page.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", bring, priority=950)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
