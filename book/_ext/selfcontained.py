"""A site that asks nobody: it reads the same over http, from a folder and without a network.

* MathJax comes from the package sphinx-mathjax-offline: its parts in use as one script, and its
  fonts.  Its menu is a third of the whole, and no part in use; what a screen reader hears is one.
* Jupyter Book puts the scripts of live code (thebe) on every page. They name a remote host, so
  they go.
* MathJax goes where a page has no formula of its own, and the theme's Font Awesome script
  everywhere: 1.5 MB for icons that its web font, which is loaded as well, draws too.
* Two settings that the theme reports as missing are given: the colour mode and the top bar.
"""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

MATHJAX_SCRIPT = "formulas.js"
MATHJAX_LOADER = "startup"
MATHJAX_PARTS = {  # what a part is called, and its file
    "core": "core",
    "input/tex-base": "input/tex-base",
    "[tex]/ams": "input/tex/extensions/ams",
    "[tex]/noundefined": "input/tex/extensions/noundefined",
    "output/chtml": "output/chtml",
    "output/chtml/fonts/tex": "output/chtml/fonts/tex",
    "a11y/assistive-mml": "a11y/assistive-mml",
}
# A displayed formula scrolls where it is wider than a phone: the keyboard has to reach it.  A long
# one within a line may break before a relation, as in print: 250 pixels fit a phone's line.  Any
# other is held together with the stop behind it, which a browser else puts on the next line.
READY = """() => MathJax.startup.defaultPageReady().then(() => {
  for (const box of document.querySelectorAll("mjx-container[display]")) box.tabIndex = 0;
  for (const box of document.querySelectorAll("mjx-container:not([display])")) {
    if (box.offsetWidth < 250) {
      const math = box.closest("span.math"), behind = math?.nextSibling;
      const stop = /^[.,;:?!)]+/.exec(behind?.data ?? "");
      if (!stop) continue;
      const held = document.createElement("span");
      held.className = "held";
      math.before(held);
      behind.splitText(stop[0].length);
      held.append(math, behind);
      continue;
    }
    box.classList.add("long");
    for (const sign of box.querySelectorAll(":scope > mjx-math > mjx-mo[space='4']")) {
      sign.before(document.createElement("wbr"));
    }
  }
})"""
ICON_SCRIPT = re.compile(r"<script[^>]*/fontawesome\.js[^>]*></script>\n?")
MATHJAX_FONTS = "output/chtml/fonts/woff-v2"


def mathjax_folder() -> Path:
    """Where the installed copy of MathJax lies."""
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or not spec.submodule_search_locations:
        raise ExtensionError("sphinx-mathjax-offline is not installed: run `make install`")
    return Path(spec.submodule_search_locations[0]) / "static" / "mathjax"


def set_defaults(app: Sphinx, config: Config) -> None:
    """Point the pages at the local MathJax and give the theme what it misses."""
    config.mathjax_path = f"mathjax/{MATHJAX_SCRIPT}"
    config.html_context.setdefault("default_mode", "auto")
    config.html_theme_options.setdefault("navbar_persistent", [])


def is_thebe(asset: Any) -> bool:
    """Whether a page's script or style belongs to thebe."""
    body = (getattr(asset, "attributes", None) or {}).get("body") or ""
    return "thebe" in str(getattr(asset, "filename", "")) or "THEBE_JS_URL" in body


def drop_files(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Take off a page thebe's scripts and styles, and MathJax if it has no formula."""
    formulas = 'class="math ' in context.get("body", "")

    def goes(asset: Any) -> bool:
        unused = MATHJAX_SCRIPT in str(getattr(asset, "filename", "")) and not formulas
        return is_thebe(asset) or unused

    for key in ("script_files", "css_files"):
        if context.get(key) is not None:
            context[key][:] = [asset for asset in context[key] if not goes(asset)]


def drop_thebe_nodes(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Take thebe's settings out of a page's body."""
    for node in list(doctree.findall(nodes.raw)):
        if "text/x-thebe-config" in node.astext() and node.parent is not None:
            node.parent.remove(node)


def drop_icon_script(app: Sphinx, exception: Exception | None) -> None:
    """Take the Font Awesome script out of the pages: the theme's template has it without a switch.

    Raises
    ------
    ExtensionError
        If it is in no page: the theme has changed.
    """
    if exception is not None or app.builder.format != "html":
        return
    found = 0
    for page in Path(app.outdir).rglob("*.html"):
        text, count = ICON_SCRIPT.subn("", page.read_text(encoding="utf-8"))
        found += count
        if count:
            page.write_text(text, encoding="utf-8")
    script = Path(app.outdir) / "_static" / "scripts" / "fontawesome.js"
    if not found and script.exists():
        raise ExtensionError(
            "no page loads the Font Awesome script: drop_icon_script is not needed"
        )
    script.unlink(missing_ok=True)


def mathjax_script(source: Path) -> str:
    """Return MathJax's parts in use as one script, which loads no other."""
    packages = ["base", *(name[6:] for name in MATHJAX_PARTS if name.startswith("[tex]/"))]
    given = {"loader": {"load": []}, "tex": {"packages": packages}}
    there = ", ".join(map(json.dumps, MATHJAX_PARTS))
    parts = [(source / f"{file}.js").read_text("utf-8") for file in MATHJAX_PARTS.values()]
    return "\n".join(
        [
            f"window.MathJax = {{...window.MathJax, ...{json.dumps(given)}}};",
            f"window.MathJax.startup = {{...window.MathJax.startup, pageReady: {READY}}};",
            (source / f"{MATHJAX_LOADER}.js").read_text("utf-8"),
            f"MathJax.loader.preLoad({there});",
            *parts,
        ]
    )


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Write the script in use beside the pages, and copy its fonts."""
    if exception is not None or app.builder.format != "html":
        return
    source, target = mathjax_folder(), Path(app.outdir) / "_static" / "mathjax"
    shutil.copytree(source / MATHJAX_FONTS, target / MATHJAX_FONTS, dirs_exist_ok=True)
    (target / MATHJAX_SCRIPT).write_text(mathjax_script(source), "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", set_defaults, priority=900)
    app.connect("doctree-resolved", drop_thebe_nodes, priority=900)
    app.connect("html-page-context", drop_files, priority=900)
    app.connect("build-finished", drop_icon_script, priority=900)
    app.connect("build-finished", copy_mathjax, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
