"""The book's extension for citers: commit, description, data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.core import publish_doctree

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


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e")
    subprocess.run(("git", *who, *words), cwd=folder, check=True, capture_output=True)


def test_the_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    assert citable.commit_of(tmp_path) == ""
    (tmp_path / "a").write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "a")
    commit = citable.commit_of(tmp_path)
    assert len(commit) == 12 and int(commit, 16) >= 0
    (tmp_path / "a").write_text("2")
    assert citable.commit_of(tmp_path) == f"{commit}, changed"


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
        (found,) = json.loads((tmp_path / "out" / "data" / "ledger.json").read_text())
        assert found["id"] == "x"
