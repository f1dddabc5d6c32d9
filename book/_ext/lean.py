"""What a page does not use it does not load: rules of style sheets, icons, room in drawings.

* A style sheet keeps the rules whose classes and ids some page or script of the site names, and
  the variables that something asks for.
* The icons' font keeps those that the style sheets still ask for.
* Source maps, which only who debugs the theme would load, stay out of the site.
* A figure below the first is loaded when the reader comes near it.
* The theme's search scripts and its index are for the search page: nothing is suggested before.
  The script of tabs is for a page that has tabs.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Set
from io import BytesIO
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

ICONS = "_static/vendor/fontawesome/webfonts/fa-solid-900"
SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:_static/(?:search|searchtools|language_data)|searchindex)\.js'
    r'(?:\?v=\w+)?"></script>'
)
TABS = re.compile(r"\s*<script[^>]*_static/design-tabs\.js[^>]*></script>")
FIGURE = re.compile(r'<img (?=[^>]*src="[^"]*_images/)(?![^>]*loading=)')
# Sphinx writes a size as a style, which no style sheet can make smaller.
SIZE = re.compile(r'(<img [^>]*_images/[^>]*?) style="width: (\d+)px; height: (\d+)px;"')
MAP = re.compile(r"\n//# sourceMappingURL=\S+\s*\Z")
WORD = re.compile(r"[\w-]+")
# A licence, a comment, a string, and what rules are made of.
PIECE = re.compile(r"""/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]""", re.DOTALL)
VARIABLE = re.compile(r"""(?<=[{;\s])(--[\w-]+)\s*:(?:"[^"]*"|'[^']*'|[^;{}"'])*;?""")
NESTED = ("@media", "@supports", "@layer", "@container")


def rules(style: str) -> Iterator[tuple[str, str | None]]:
    """Yield the head of each rule and what stands in its braces; None for one without braces."""
    depth = start = opened = 0
    for found in PIECE.finditer(style):
        sign = found[0]
        if sign == "{":
            opened = opened if depth else found.start()
            depth += 1
        elif sign == "}":
            depth -= 1
            if not depth:
                yield style[start:opened].strip(), style[opened + 1 : found.start()]
                start = found.end()
        elif sign == ";" and not depth:
            yield style[start : found.start()].strip(), None
            start = found.end()


def named(selector: str, words: Set[str]) -> bool:
    """Whether all classes and ids that a selector asks for are among the words."""
    asked = re.sub(r":(?:not|is|where|has)\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^]]*\]", "", selector)
    names = re.findall(r"[.#]((?:[\w-]|\\.)+)", asked)
    return all(part in words for name in names for part in WORD.findall(name.replace("\\", " ")))


def purge(style: str, words: Set[str]) -> str:
    """Return a style sheet without the rules that nothing can match, and without its comments.

    Licences, which begin with an exclamation mark, stay.
    """
    licences = re.findall(r"/\*!.*?\*/", style, re.DOTALL)
    comments = re.compile(PIECE.pattern, re.DOTALL)
    plain = comments.sub(lambda found: "" if found[0].startswith("/*") else found[0], style)
    return "\n".join([*licences, _purged(plain, words)])


def _purged(style: str, words: Set[str]) -> str:
    kept = []
    for head, block in rules(style):
        if block is None:
            kept.append(f"{head};")
        elif head.startswith(NESTED):
            if inner := _purged(block, words):
                kept.append(f"{head}{{{inner}}}")
        elif head.startswith("@"):
            kept.append(f"{head}{{{block.strip()}}}")
        else:
            selectors = re.split(r",(?![^(]*\))", head)
            if some := [s.strip() for s in selectors if named(s, words)]:
                body = re.sub(r"\s*\n\s*", " ", block).strip()
                kept.append(f"{','.join(some)}{{{body}}}")
    return "\n".join(kept)


def icons_of(styles: str, font: bytes) -> bytes:
    """Return the icons' font with the signs that style sheets name, as WOFF: the same each time."""
    signs = {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})\b", styles)}
    signs |= {ord(sign) for sign in re.findall("[\ue000-\uf8ff]", styles)}
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table
    options = subset.Options(flavor="woff", layout_features=[])
    cut = subset.Subsetter(options)
    cut.populate(unicodes=signs)
    made, written = TTFont(BytesIO(font), recalcTimestamp=False), BytesIO()
    cut.subset(made)
    made.flavor = "woff"
    made.save(written)
    return written.getvalue()


def slim(app: Sphinx, exception: Exception | None) -> None:
    """Take out of styles, font and pages what the site does not use, after all pages are there."""
    if exception is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    for path in site.rglob("*.map"):
        path.unlink()
        script = path.with_suffix("")
        if script.suffix == ".js" and script.exists():
            text = script.read_text("utf-8")
            script.write_text(MAP.sub("", text), "utf-8")
    pages = {path: path.read_text("utf-8") for path in site.rglob("*.html")}
    scripts = [p.read_text("utf-8") for p in site.rglob("*.js") if "mathjax" not in p.parts]
    words = {word for text in [*pages.values(), *scripts] for word in WORD.findall(text)}
    purged = {path: purge(path.read_text("utf-8"), words) for path in site.rglob("*.css")}
    asked = words.union(*(re.findall(r"var\(\s*(--[\w-]+)", style) for style in purged.values()))
    purged = {
        path: VARIABLE.sub(lambda found: found[0] if found[1] in asked else "", style)
        for path, style in purged.items()
    }
    font = site / f"{ICONS}.ttf"
    if font.exists():
        font.with_suffix(".woff").write_bytes(icons_of("".join(purged.values()), font.read_bytes()))
    versions = {}
    for path, style in purged.items():
        text = re.sub(r'(fa-solid-900\.woff)2\) format\("woff2"\)', r'\1) format("woff")', style)
        path.write_text(text, "utf-8")
        versions[path.name] = hashlib.sha256(text.encode()).hexdigest()[:8]

    def versioned(link: re.Match[str]) -> str:
        return f'{link[1]}{link[2]}?v={versions[link[2]]}"' if link[2] in versions else link[0]

    for path, before in pages.items():
        text = re.sub(r'(href="[^"?]*/)([\w.-]+\.css)(?:\?[^"]*)?"', versioned, before)
        if path.name != "search.html":
            text = SEARCH.sub("", text)
        if "sd-tab-set" not in text:
            text = TABS.sub("", text)
        text = SIZE.sub(r'\1 width="\2" height="\3"', text)
        first, *others = FIGURE.split(text)
        lazy = [('<img loading="lazy" ' if k else "<img ") + part for k, part in enumerate(others)]
        if (text := first + "".join(lazy)) != before:
            path.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx; previews, which come after, bring figures of other pages."""
    app.connect("build-finished", slim, priority=920)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
