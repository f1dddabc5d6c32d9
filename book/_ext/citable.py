"""What a citer, an archive and a search engine ask for: a commit, the data, a description.

* The footer names the version of the module, the commit that the site was built from, its date,
  and the digest of the run records.
* Every page ends with how it is cited, as BibTeX and CSL-JSON.
* ``data/`` in the site has the ledger, the run records and the receipts with their JSON schemas,
  CITATION.cff, and the sources of the commit.
* A page's "In short", or else its first paragraph, is its description.
"""

from __future__ import annotations

import json
import shutil
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sphinx.application import Sphinx
from sphinx.config import Config

from companion import publish

SOURCES = "psl-companion"  # name of their archive, and of the folder in it
LONGEST = 300  # characters of a description that search engines show, and some more
CITE = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
).get_template("cite.html")
read_source, build_of = cache(publish.read_source), cache(publish.build_of)


def add_footer(app: Sphinx, config: Config) -> None:
    """Say in the footer of every page what it was built from."""
    root = Path(app.srcdir)
    build = build_of(root)
    digest = publish.records_digest(root / "results")[:12]
    parts = (f"psl {read_source(root).cff['version']}", str(build), build.date)
    built = ", ".join(filter(None, (*parts, f"run records {digest} (SHA-256)")))
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


def cite(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say at the end of a page how it is cited."""
    if doctree is None or "body" not in context:
        return
    root = Path(app.srcdir)
    title = next((t.astext() for t in doctree.findall(nodes.title)), name)
    asked = (read_source(root), build_of(root), title, app.builder.get_target_uri(name))
    entries = {"BibTeX": publish.bibtex(*asked), "CSL-JSON": publish.csl_json(*asked)}
    context["body"] += CITE.render(entries=entries)


def write_data(app: Sphinx, exception: Exception | None) -> None:
    """Write ledger, records, receipts, and of a checkout the sources, into the site."""
    if exception is not None or app.builder.format != "html":
        return
    from companion import claims
    from companion.publish.package import pack_sources
    from psl.files import replace_file

    root, folder = Path(app.srcdir), Path(app.outdir) / "data"
    folder.mkdir(exist_ok=True)
    # Computed once, as the chapters are: the folder is named after all that a number depends on.
    ledger = Path(app.config.nb_execution_cache_path) / "ledger.json"
    if not ledger.exists():
        rows = claims.published(claims.assess(claims.Subject.real(root / "results")))
        replace_file(ledger, json.dumps(rows).encode())
    publish.write_exports(folder, json.loads(ledger.read_bytes()), root / "results")
    for path in (root / "CITATION.cff", *sorted((root / "receipts").glob("*.json"))):
        shutil.copyfile(path, folder / path.name)
    if (build := build_of(root)).commit:
        packed = pack_sources(root, SOURCES, build.seconds)
        replace_file(folder / f"{SOURCES}.tar.gz", packed)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    if build_of(Path(app.srcdir)).commit:  # what a page says of the sources is for a checkout's
        app.tags.add("checkout")
    app.connect("config-inited", add_footer, priority=900)
    app.connect("html-page-context", describe)
    app.connect("html-page-context", cite)
    app.connect("build-finished", write_data, priority=200)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
