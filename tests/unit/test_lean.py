"""What the site does not use is not in its styles, and what it uses is."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from fontTools.ttLib import TTFont

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import lean  # noqa: E402
import selfcontained  # noqa: E402

STYLE = """/*! Licence; of {all} */ /* a note { */
@charset "utf-8";
.used, .unused > p { color: red }
.unused { content: "} .used {" }
a:not(.unused), :is(.unused, b) i, [class*=unused] { top: 0 }
.sd-g-1\\.5 { left: 0 }
@media print { .unused { top: 0 } #here { top: 1px } }
@media (max-width: 1px) { .unused { top: 0 } }
@font-face { font-family: x; src: url("a;{}.woff") }
@keyframes turn { from { top: 0 } to { top: 1px } }
"""


def test_only_rules_that_nothing_can_match_go() -> None:
    assert lean.purge(STYLE, {"used", "here", "sd-g-1", "5"}).splitlines() == [
        "/*! Licence; of {all} */",
        '@charset "utf-8";',
        ".used{color: red}",
        "a:not(.unused),:is(.unused, b) i,[class*=unused]{top: 0}",
        ".sd-g-1\\.5{left: 0}",
        "@media print{#here{top: 1px}}",
        '@font-face{font-family: x; src: url("a;{}.woff")}',
        "@keyframes turn{from { top: 0 } to { top: 1px }}",
    ]


def test_purging_twice_is_purging_once() -> None:
    once = lean.purge(STYLE, {"used"})
    assert lean.purge(once, {"used"}) == once


def site(tmp_path: Path) -> SimpleNamespace:
    pages = tmp_path / "notebooks"
    pages.mkdir()
    image = '<img alt="x" src="../_images/fig-x.svg" style="width: 6px; height: 4px;" />'
    script = (
        '<script src="../_static/searchtools.js"></script><script src="../searchindex.js"></script>'
    )
    text = f'<link href="../_static/a.css?v=1" />{script}<p class="used">{image}{image}</p>'
    for name in ("one.html", "search.html"):
        (pages / name).write_text(text, "utf-8")
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.css").write_text(
        ".used{--a:1;--b:url('x;y');top:var(--b)}.unused{top:0}", "utf-8"
    )
    return SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=str(tmp_path))


def test_a_page_loads_later_what_is_further_down(tmp_path: Path) -> None:
    app = site(tmp_path)
    lean.slim(app, None)
    page = (tmp_path / "notebooks" / "one.html").read_text("utf-8")
    assert "search" not in page and page.count('loading="lazy"') == 1
    assert page.count('fig-x.svg" width="6" height="4"') == 2 and "style=" not in page
    assert page.index("<img alt") < page.index('<img loading="lazy"')
    assert "searchindex.js" in (tmp_path / "notebooks" / "search.html").read_text("utf-8")
    assert (tmp_path / "_static" / "a.css").read_text(
        "utf-8"
    ).strip() == ".used{--b:url('x;y');top:var(--b)}"
    assert "a.css?v=1" not in page  # what a browser has kept is another file
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*")}
    lean.slim(app, None)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize("tabs", [False, True])
def test_the_script_of_tabs_is_loaded_where_there_are_some(tmp_path: Path, tabs: bool) -> None:
    app = site(tmp_path)
    page = tmp_path / "notebooks" / "one.html"
    script = '<script data-sd-tabs="x" src="../_static/design-tabs.js?v=1"></script>'
    page.write_text(f'{script}<div class="{"sd-tab-set" if tabs else "sd-card"}"></div>', "utf-8")
    lean.slim(app, None)
    assert ("design-tabs.js" in page.read_text("utf-8")) == tabs


def test_source_maps_stay_out(tmp_path: Path) -> None:
    app = site(tmp_path)
    script = tmp_path / "_static" / "theme.js"
    script.write_text("go();\n//# sourceMappingURL=theme.js.map\n")
    for name in ("theme.js.map", "theme.css.map"):
        (tmp_path / "_static" / name).write_text("{}")
    lean.slim(app, None)
    assert not list(tmp_path.rglob("*.map")) and script.read_text("utf-8") == "go();"


def test_the_font_keeps_the_icons_that_are_asked_for() -> None:
    theme = pytest.importorskip("pydata_sphinx_theme")
    folder = Path(theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static" / "vendor"
    whole = (folder / "fontawesome" / "webfonts" / "fa-solid-900.ttf").read_bytes()
    small = lean.icons_of('a{content:"\\f105"} b{content:"\uf0f3"} c{content:"x"}', whole)
    assert set(TTFont(BytesIO(small)).getBestCmap()) == {0xF105, 0xF0F3}
    assert len(small) < 3000
    assert small == lean.icons_of('a{content:"\\f105"} b{content:"\uf0f3"} c{content:"x"}', whole)


def test_formulas_are_one_script_of_known_parts() -> None:
    script = selfcontained.mathjax_script(selfcontained.mathjax_folder())
    assert len(script) < 800_000
    assert '"packages": ["base", "ams", "noundefined"]' in script and '"load": []' in script
