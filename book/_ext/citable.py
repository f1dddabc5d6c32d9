"""What a citer, an archive and a search engine ask for: a commit, the data, a description.

* The footer names the version of the module and the commit that the site was built from.
* ``data/`` in the site has the ledger as JSON, the run records as JSON lines, and CITATION.cff.
* A page's "In short", or else its first paragraph, is its description.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

LONGEST = 300  # characters of a description that search engines show, and some more


def commit_of(root: Path) -> str:
    """Return the commit of a checkout, marked where files differ from it; empty without one."""
    words = ("git", "-C", str(root), "describe", "--always", "--dirty=, changed", "--abbrev=12")
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def add_footer(app: Sphinx, config: Config) -> None:
    """Say in the footer of every page what it was built from."""
    import psl

    commit = commit_of(Path(app.srcdir))
    built = f"psl {psl.__version__}" + (f", commit {commit}" if commit else "")
    options = config.html_theme_options
    options["extra_footer"] = f"{options.get('extra_footer', '')} {built}."


def description(doctree: nodes.document) -> str:
    """Return the page's short answer, or its first paragraph, as one line."""
    boxes = [
        box for box in doctree.findall(nodes.admonition) if box[0].astext().strip() == "In short"
    ]
    whole = boxes[0] if boxes else doctree
    texts = (p.astext() for p in whole.findall(nodes.paragraph) if p.astext().strip())
    words = " ".join(next(texts, "").split())
    return words if len(words) <= LONGEST else words[:LONGEST].rsplit(" ", 1)[0] + " …"


def describe(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put the description into the head of the page."""
    if doctree is None or not (words := description(doctree)):
        return
    entries = {"og:title": context.get("title", ""), "og:description": words, "og:type": "article"}
    tags = [f'<meta name="description" content="{escape(words)}" />']
    tags += [f'<meta property="{k}" content="{escape(v)}" />' for k, v in entries.items()]
    context["metatags"] = "\n".join([context.get("metatags", ""), *tags])


def write_data(app: Sphinx, exception: Exception | None) -> None:
    """Write the ledger and the records into the site."""
    if exception is not None or app.builder.format != "html":
        return
    from companion import claims
    from psl.files import replace_file

    root, folder = Path(app.srcdir), Path(app.outdir) / "data"
    folder.mkdir(exist_ok=True)
    # Computed once, as the chapters are: the folder is named after all that a number depends on.
    ledger = Path(app.config.nb_execution_cache_path) / "ledger.json"
    if not ledger.exists():
        rows = claims.published(claims.assess(claims.Subject.real(root / "results")))
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        replace_file(ledger, text.encode())
    shutil.copyfile(ledger, folder / "ledger.json")
    runs = sorted((root / "results").glob("*.jsonl"))
    (folder / "runs.jsonl").write_text("".join(p.read_text("utf-8") for p in runs), "utf-8")
    shutil.copyfile(root / "CITATION.cff", folder / "CITATION.cff")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", add_footer, priority=900)
    app.connect("html-page-context", describe)
    app.connect("build-finished", write_data, priority=200)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
