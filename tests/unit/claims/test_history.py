"""What a row said at which commit, from the statuses that are committed beside the records."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from companion import claims
from ledger import assessed
from psl.errors import RecordError

RESULTS = Path(__file__).parents[3] / "results"


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, subject: str, **statuses: str) -> None:
    claims.save_statuses([{"id": i, "status": s} for i, s in statuses.items()], folder / "results")
    git(folder, "add", "-A")
    git(folder, "commit", "-m", subject)


def test_each_change_is_told_with_its_commit(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    git(tmp_path, "init")
    commit(tmp_path, "First", a="not yet run", b="verified")
    commit(tmp_path, "Add runs of a", a="reproduced", b="verified")
    (tmp_path / "other").write_text("no status changes")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "Say more")
    commit(tmp_path, "Drop b", a="reproduced")
    found = [(c.row, c.before, c.after, c.why) for c in claims.history(tmp_path / "results")]
    assert found == [
        ("b", "verified", "", "Drop b"),
        ("a", "not yet run", "reproduced", "Add runs of a"),
        ("a", "", "not yet run", "First"),
        ("b", "", "verified", "First"),
    ]


def test_without_a_history_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no history can be read here"):
        claims.history(tmp_path)
    git(tmp_path, "init")
    (tmp_path / "a").write_text("")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "Something else")
    with pytest.raises(RecordError, match=r"no commit has statuses\.csv"):
        claims.history(tmp_path)


def test_the_statuses_beside_the_records_are_today_s() -> None:
    """If this fails, new records or checks changed a row: `psl claims --save`, and look at why."""
    rows = assessed(RESULTS)
    stored = claims.read_statuses((RESULTS / "statuses.csv").read_text(encoding="utf-8"))
    assert stored == {row["id"]: row["status"] for row in rows}
