"""What each row said at which commit, from the statuses that stand beside the records."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from psl.errors import RecordError
from psl.files import replace_file

__all__ = ["STATUSES_FILE", "Change", "history", "read_statuses", "save_statuses"]

STATUSES_FILE = "statuses.csv"  # beside the records, not one of them


class Change(NamedTuple):
    """A row whose status a commit changed; ``before`` or ``after`` is empty where it has none."""

    row: str
    before: str
    after: str
    commit: str
    date: str
    why: str  # the commit's subject


def save_statuses(rows: Iterable[dict[str, Any]], results: Path) -> Path:
    """Write id and status of each row beside the records, in the order of their ids."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "status"])
    table.writerows(sorted((row["id"], row["status"]) for row in rows))
    path = results / STATUSES_FILE
    replace_file(path, text.getvalue().encode())
    return path


def read_statuses(text: str) -> dict[str, str]:
    """Return the status of each row, by id."""
    return {row["id"]: row["status"] for row in csv.DictReader(io.StringIO(text))}


def history(results: Path) -> list[Change]:
    """Return every change of a status in the repository's history, the newest commit first.

    Raises
    ------
    RecordError
        Where there is no repository, or its history has no statuses.
    """
    commits = _git(results, "log", "--format=%h%x09%cs%x09%s", "--", STATUSES_FILE).splitlines()
    if not commits:
        raise RecordError(f"{results}: no commit has {STATUSES_FILE}; psl claims --save writes it")
    changes: list[Change] = []
    told = [line.split("\t", 2) for line in commits]
    texts = [_git(results, "show", f"{commit}:./{STATUSES_FILE}") for commit, *_ in told]
    for (commit, date, why), now, then in zip(told, texts, [*texts[1:], ""], strict=True):
        after, before = read_statuses(now), read_statuses(then)
        changes += [
            Change(row, before.get(row, ""), after.get(row, ""), commit, date, why)
            for row in sorted(after.keys() | before.keys())
            if before.get(row) != after.get(row)
        ]
    return changes


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise RecordError(
            f"{folder}: no history can be read here; a clone of the repository has it"
        ) from error
    return done.stdout
