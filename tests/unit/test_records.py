"""Run records: what goes in comes out, and what is wrong does not go in."""

from __future__ import annotations

import json
import math
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from psl import records
from psl.errors import RecordError


def record(seed: int = 0, **changes: Any) -> dict[str, Any]:
    config = {"loss": "sl", "seed": seed}
    return {
        "run_id": records.run_id(config),
        "experiment": "test",
        "config": config,
        "dataset_fingerprint": "f" * 64,
        "metrics": {"ndcg@20": 0.5},
        "created": "2024-01-01T00:00:00+00:00",
        "device": "cpu",
        **changes,
    }


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs.jsonl"
    for seed in range(3):
        records.append(path, record(seed))
    assert records.read(path) == [record(0), record(1), record(2)]
    assert records.read(path.parent) == records.read(path)
    assert records.select(records.read(path), seed=1, loss="sl") == [record(1)]
    assert records.select(records.read(path), seed=9) == []


def test_the_same_run_again_replaces(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for entry in (record(0), record(1), record(0, metrics={"ndcg@20": 0.25})):
        records.append(path, entry)
    assert [r["metrics"]["ndcg@20"] for r in records.read(path)] == [0.5, 0.25]
    # Other data or another device is another run.
    records.append(path, record(0, device="other"))
    records.append(path, record(0, dataset_fingerprint="0" * 64))
    assert len(records.read(path)) == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": {"ndcg@20": math.nan}}, r"metric ndcg@20 is not a number in \[0, 1\]"),
        ({"metrics": {"ndcg@20": 1.5}}, "metric ndcg@20"),
        ({"metrics": {"ndcg@20": "0.5"}}, "metric ndcg@20"),
        ({"seconds": math.inf}, "not finite"),
        ({"run_id": "0" * 16}, "not the digest of its config"),
        ({"config": {"loss": "sl", "seed": 7}}, "not the digest of its config"),
    ],
)
def test_what_is_wrong_does_not_go_in(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = tmp_path / "runs.jsonl"
    records.append(path, record())
    before = path.read_bytes()
    with pytest.raises(RecordError, match=words):
        records.append(path, record(**changes))
    assert path.read_bytes() == before


@pytest.mark.parametrize("key", records.REQUIRED)
def test_a_missing_key(tmp_path: Path, key: str) -> None:
    entry = record()
    del entry[key]
    with pytest.raises(RecordError, match=f"lacks the key '{key}'"):
        records.append(tmp_path / "runs.jsonl", entry)
    assert not (tmp_path / "runs.jsonl").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"run_id": "abc', ":2: not JSON"),
        (b"[1, 2]", ":2: not a record"),
        (b'{"run_id": "abc"}', ":2: lacks the key"),
        (b"\xff\xfe", "not a text file"),
    ],
)
def test_a_damaged_file_is_named_and_not_overwritten(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "runs.jsonl"
    records.append(path, record())
    path.write_bytes(path.read_bytes() + content)
    before = path.read_bytes()
    for call in (lambda: records.read(path), lambda: records.append(path, record(1))):
        with pytest.raises(RecordError, match=words):
            call()
    assert path.read_bytes() == before


def test_a_tampered_configuration_is_found(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    records.append(path, record())
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RecordError, match=r"runs\.jsonl:1: its run_id"):
        records.read(path)


def test_nothing_to_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(RecordError, match="no run record"):
            records.read(path)


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_full_disk_keeps_the_old_file(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.jsonl"
    records.append(path, record())
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, step, full)
    with pytest.raises(OSError, match="No space"):
        records.append(path, record(1))
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} <= {"runs.jsonl", ".runs.jsonl.lock"}


def _append(path: Path, first: int) -> None:
    for seed in range(first, first + 5):
        records.append(path, record(seed))


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append, args=(path, 5 * k)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(r["config"]["seed"] for r in records.read(path)) == list(range(20))


def test_the_run_id_depends_on_content_not_order() -> None:
    assert records.run_id({"a": 1, "b": 2}) == records.run_id({"b": 2, "a": 1})
    assert records.run_id({"a": 1}) != records.run_id({"a": 2})
    assert len(json.dumps(records.code_digest())) == 18
