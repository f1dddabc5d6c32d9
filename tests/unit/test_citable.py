"""The book's extension for citers: commit, description, data."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from companion import publish

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import citable  # noqa: E402

PAGE = """
Title
=====

First *paragraph*,
on two lines.

.. admonition:: In short

   The answer & more.
"""


def test_the_short_answer_describes_a_page() -> None:
    page = publish_doctree(PAGE)
    assert citable.description(page) == "The answer & more."
    plain = publish_doctree(PAGE.split(".. adm")[0])
    assert citable.description(plain) == "First paragraph, on two lines."
    long = publish_doctree("word " * 200)
    words = citable.description(long)
    assert len(words) <= citable.LONGEST + 2 and words.endswith("word …")
    assert citable.description(publish_doctree("")) == ""


def test_a_description_is_escaped() -> None:
    context = {"title": 'a "b"', "metatags": "<meta old>"}
    citable.describe(None, "", "", context, publish_doctree(PAGE))
    assert context["metatags"].startswith("<meta old>\n")
    assert '<meta name="description" content="The answer &amp; more." />' in context["metatags"]
    assert 'property="og:title" content="a &quot;b&quot;"' in context["metatags"]
    empty: dict[str, str] = {"title": "t"}
    citable.describe(None, "", "", empty, nodes.document(None, None))
    assert empty == {"title": "t"}


def test_a_page_ends_with_its_citation() -> None:
    builder = SimpleNamespace(get_target_uri=lambda name: f"{name}.html")
    app = SimpleNamespace(srcdir=ROOT, builder=builder)
    context = {"body": "<p>text</p>"}
    citable.cite(app, "notebooks/x", "", context, publish_doctree(PAGE))
    assert context["body"].startswith('<p>text</p><details class="cite-page">')
    assert "@incollection{pslcompanion-x," in context["body"]
    assert "&#34;container-title&#34;" in context["body"], "escaped"
    index: dict[str, str] = {}
    citable.cite(app, "genindex", "", index, None)
    assert index == {}


def test_the_footer_names_what_the_site_was_built_from() -> None:
    config = SimpleNamespace(html_theme_options={"extra_footer": "Before."})
    citable.add_footer(SimpleNamespace(srcdir=ROOT), config)
    build, footer = publish.build_of(ROOT), config.html_theme_options["extra_footer"]
    version = publish.read_source(ROOT).cff["version"]
    digest = hashlib.sha256()
    for path in sorted((ROOT / "results").glob("*.jsonl")):
        digest.update(path.read_bytes())
    records = f"run records {digest.hexdigest()[:12]} (SHA-256)."
    about = ", ".join(filter(None, (f"psl {version}", str(build), build.date, records)))
    assert footer == f"Before. {about}"


def test_the_ledger_is_computed_once_for_what_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = dict.fromkeys(("id", "section", "kind", "statement", "status", "check"), "x")
    row |= {"evidence": "", "runs": [], "p_value": None, "blind": None, "tolerance_source": ""}
    asked: list[object] = []
    monkeypatch.setattr("companion.claims.assess", lambda subject: asked.append(subject) or [row])
    (tmp_path / "out").mkdir()
    for digest, computed in (("a", 1), ("a", 1), ("b", 2)):
        config = SimpleNamespace(nb_execution_cache_path=str(tmp_path / digest))
        builder = SimpleNamespace(format="html")
        app = SimpleNamespace(srcdir=ROOT, outdir=tmp_path / "out", config=config, builder=builder)
        citable.write_data(app, None)
        assert len(asked) == computed
        data = tmp_path / "out" / "data"
        (found,) = json.loads((data / "claims.json").read_text())
        assert found["id"] == "x" and (data / "CITATION.cff").is_file()
