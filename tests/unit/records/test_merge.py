"""Record files of several machines: merged whole, or not at all."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from companion import records
from psl.errors import RecordError
from run_records import OTHER, record, write


def test_merge_takes_each_once_and_by_experiment(tmp_path: Path) -> None:
    into = tmp_path / "results"
    records.append(into / "other.jsonl", record(0))  # there, in whichever file
    first = write(tmp_path / "a" / "x.jsonl", record(0), record(1), record(2, experiment="more"))
    second = write(
        tmp_path / "b.jsonl", record(1, created="2025-01-01T00:00:00+00:00", seconds=3), record(3)
    )
    gained = records.merge([first.parent, second], into)
    assert gained == {into / "more.jsonl": 1, into / "test.jsonl": 2}
    assert records.read(into / "test.jsonl") == [record(1), record(3)]
    assert records.read(into / "more.jsonl") == [record(2, experiment="more")]
    before = {p: p.read_bytes() for p in into.glob("*.jsonl")}
    assert records.merge([first, second], into) == {}
    assert {p: p.read_bytes() for p in into.glob("*.jsonl")} == before
    # Another device is another run, whatever it gave.
    third = write(tmp_path / "c.jsonl", record(1, device="gpu", metrics=OTHER))
    assert records.merge([third], into) == {into / "test.jsonl": 1}


@pytest.mark.parametrize("between", ["sources", "source and folder"])
def test_a_conflict_writes_nothing(tmp_path: Path, between: str) -> None:
    into, other = tmp_path / "results", record(1, metrics=OTHER)
    records.append(into / "test.jsonl", record(5))
    first = write(tmp_path / "a.jsonl", record(2, experiment="fresh"), record(1))
    if between == "sources":
        second = write(tmp_path / "b.jsonl", other)
        sources, words = [first, second], r"b\.jsonl:1 and .*a\.jsonl:2"
    else:
        records.append(into / "test.jsonl", other)
        sources, words = [first], r"a\.jsonl:2 and .*results/test\.jsonl:2"
    before = {p: p.read_bytes() for p in into.glob("*.jsonl")}
    with pytest.raises(RecordError, match=words + ".*different metrics"):
        records.merge(sources, into)
    assert {p: p.read_bytes() for p in into.glob("*.jsonl")} == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experiment": "../x"}, r"a\.jsonl:2: the experiment '../x' is not a file name"),
        ({"seconds": math.inf}, r"a\.jsonl:2: not JSON"),
        ({"metrics": {}}, r"a\.jsonl:2: its metrics lack 'recall@20'"),
        ({"metrics": [0.5]}, r"a\.jsonl:2: metrics: Input should be a valid dictionary"),
    ],
)
def test_merge_takes_nothing_malformed(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    source = write(tmp_path / "a.jsonl", record(0), record(1, **changes))
    with pytest.raises(RecordError, match=words):
        records.merge([source], tmp_path / "results")
    assert not list(tmp_path.glob("results/*.jsonl"))


def test_a_merge_waits_for_whoever_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def spy(path: Path, content: bytes) -> None:
        with pytest.raises(Timeout):
            FileLock(path.with_name(f".{path.name}.lock"), blocking=False).acquire()
        seen.append(path)

    source = tmp_path / "a.jsonl"
    records.append(source, record())
    monkeypatch.setattr("companion.records.store.replace_file", spy)
    records.merge([source], tmp_path / "results")
    assert seen == [tmp_path / "results" / "test.jsonl"]


def test_a_source_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    for name in ("none", "none.jsonl"):
        with pytest.raises(RecordError, match="there is no such file"):
            records.merge([tmp_path / name], tmp_path / "results")


@pytest.mark.parametrize("kind", ["empty file", "empty folder", "pipe", "pipe in a folder"])
def test_a_source_without_records_is_told(tmp_path: Path, kind: str) -> None:
    """Not that every record is there already; and a pipe is not waited for."""
    source = tmp_path / "source"
    if "folder" in kind:
        source.mkdir()
    if kind == "empty file":
        source.touch()
    if "pipe" in kind:
        os.mkfifo(source / "a.jsonl" if "folder" in kind else source)
    with pytest.raises(RecordError, match=r"there is no record in it|a\.jsonl: it is no file"):
        records.merge([source], tmp_path / "into")
