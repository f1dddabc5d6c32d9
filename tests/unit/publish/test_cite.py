"""The commit of a checkout, and how a page of the book is cited."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from companion.publish import Build, bibtex, build_of, csl_json, read_source

SOURCE = read_source(Path(__file__).parents[3])
BUILD = Build("0123456789ab", True, "2027-01-02")


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e")
    subprocess.run(("git", *who, *words), cwd=folder, check=True, capture_output=True)


def test_the_commit_its_date_and_whether_files_differ_from_it(tmp_path: Path, monkeypatch) -> None:
    assert build_of(tmp_path) == Build() and str(Build()) == ""
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-11-29T23:30:00-0500")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "a")
    git(tmp_path, "tag", "-a", "-m", "a", "v9")  # the commit is named, whatever its tags
    found = build_of(tmp_path)
    assert len(found.commit) == 12 and int(found.commit, 16) >= 0
    assert found == Build(found.commit, False, "2026-11-30", 1796013000) and "changes" not in str(
        found
    )
    (tmp_path / "a").write_text("2")
    assert str(build_of(tmp_path)) == f"commit {found.commit} with local changes"


def test_bibtex() -> None:
    made = bibtex(SOURCE, BUILD, "Noise & 50 %", "notebooks/07-noise.html")
    lines = made.splitlines()
    assert lines[0] == "@incollection{pslcompanion-07-noise," and lines[-1] == "}"
    assert made.count("{") == made.count("}")
    assert r"  title     = {{Noise \& 50 \%}}," in lines
    assert (
        f"  author    = {{{{{SOURCE.authors[0]}}}}}," in lines and "  year      = {2027}," in lines
    )
    assert "commit 0123456789ab with local changes, notebooks/07-noise.html" in made
    assert f"  year      = {{{SOURCE.year}}}," in bibtex(SOURCE, Build(), "t", "a.html")


def test_a_figure_has_an_entry_of_its_own() -> None:
    place = "notebooks/07-noise.html#fig-noise"
    made = bibtex(SOURCE, BUILD, "Noise, fig-noise", place)
    assert made.startswith("@incollection{pslcompanion-07-noise-fig-noise,\n")
    assert r"notebooks/07-noise.html\#fig-noise}," in made


def test_csl_json() -> None:
    (entry,) = json.loads(csl_json(SOURCE, BUILD, "Noise", "notebooks/07-noise.html"))
    assert entry["id"] == "pslcompanion-07-noise" and entry["type"] == "chapter"
    assert entry["issued"] == {"date-parts": [[2027, 1, 2]]}
    assert entry["author"] == [{"literal": name} for name in SOURCE.authors]
    (bare,) = json.loads(csl_json(SOURCE, Build(), "t", "a.html"))
    assert bare["issued"] == {"date-parts": [[int(SOURCE.year)]]}
    assert "commit" not in bare["note"] and "DOI" not in bare and "URL" not in bare
