"""Run records: what goes in comes out, and what is wrong does not go in."""

from __future__ import annotations

import math
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from companion import records
from companion.records import schema
from psl.errors import RecordError
from run_records import CONFIG, OTHER, SAME, record, write


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs.jsonl"
    for seed in range(3):
        records.append(path, record(seed))
    assert records.read(path) == [record(0), record(1), record(2)]
    assert records.read(path.parent) == records.read(path)


def test_the_same_run_again_is_renewed(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for entry in (record(0), record(1), record(0, seconds=7.0)):
        records.append(path, entry)
    assert records.read(path) == [record(1), record(0, seconds=7.0)]


def test_another_result_of_the_same_run_is_refused_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for seed in (0, 1):
        records.append(path, record(seed))
    before = path.read_bytes()
    with pytest.raises(RecordError, match=r"runs\.jsonl:1: the same run .* with other metrics"):
        records.append(path, record(0, metrics=OTHER))
    assert path.read_bytes() == before
    records.append(path, record(0, metrics=OTHER), replace=True)
    assert records.read(path) == [record(1), record(0, metrics=OTHER)]


@pytest.mark.parametrize("changes", [{"device": "gpu"}, {"dataset_fingerprint": "0" * 64}])
def test_on_another_device_or_data_it_is_another_run(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "runs.jsonl"
    records.append(path, record(0))
    records.append(path, record(0, metrics=OTHER, **changes))
    assert records.read(path) == [record(0), record(0, metrics=OTHER, **changes)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": SAME | {"ndcg@20": math.nan}}, r"metric ndcg@20 is not a number in \[0, 1\]"),
        ({"metrics": SAME | {"ndcg@20": 1.5}}, "metric ndcg@20"),
        ({"metrics": SAME | {"ndcg@20": -0.5}}, "metric ndcg@20"),
        ({"metrics": SAME | {"ndcg@20": "0.5"}}, "metric ndcg@20"),
        ({"metrics": {}}, "metrics lacks 'recall@20'"),
        ({"metrics": {"recall@20": 0.5}}, "metrics lacks 'ndcg@20'"),
        ({"seconds": math.inf}, "not finite"),
        ({"seconds": "3"}, "its seconds is not a number"),
        ({"seconds": True}, "its seconds is not a number"),
        ({"device": None}, "its device is not text"),
        ({"validation_curve": {}}, "its validation_curve is not a list"),
        ({"run_id": "0" * 16}, "not the digest of its config"),
        ({"config": {**CONFIG, "seed": 7}}, "not the digest of its config"),
        *(
            (
                {"config": {k: v for k, v in record()["config"].items() if k != key}},
                f"lacks '{key}'",
            )
            for key in schema.REQUIRED_CONFIG
        ),
    ],
)
def test_what_is_wrong_does_not_go_in(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = tmp_path / "runs.jsonl"
    records.append(path, record())
    before = path.read_bytes()
    with pytest.raises(RecordError, match=words):
        records.append(path, record(**changes))
    assert path.read_bytes() == before


@pytest.mark.parametrize("key", schema.REQUIRED)
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

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space"):
        records.append(path, record(1))
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} <= {"runs.jsonl", ".runs.jsonl.lock"}


def test_schemas(tmp_path: Path) -> None:
    assert records.provenance()["schema"] == records.SCHEMA == 2
    path = write(tmp_path / "runs.jsonl", record(0), record(1, schema=1), record(2, schema=2))
    assert len(records.read(path)) == 3, "one without the key is of the first version"
    for unknown in (3, 0, "2", None, [1]):
        write(path, record(0), record(1, schema=unknown))
        with pytest.raises(RecordError, match=r"runs\.jsonl:2: schema .* is not known"):
            records.read(path)


def test_of_one_run_the_record_made_last_counts() -> None:
    first, last = (record(device=d, created=t) for d, t in (("gpu", "2024-01-01"), ("cpu", "2025")))
    assert records.by_time([last, first]) == [first, last]


def test_problems_are_all_named_with_their_line(tmp_path: Path) -> None:
    curve = [{"epoch": 5, "loss": math.nan}]
    path = write(
        tmp_path / "runs.jsonl", record(0), record(1, validation_curve=curve), record(2), record(0)
    )

    def load(config: dict[str, Any]) -> None:
        if config["seed"] == 2:
            raise ValueError("no such seed")

    found = records.validate(path, load)
    assert [p.split(": ")[0].rsplit(":", 1)[1] for p in found] == ["2", "3", "4"]
    assert "validation_curve[0].loss is not a finite number" in found[0]
    assert "does not load (no such seed)" in found[1]
    assert "runs.jsonl:1 again" in found[2]
    assert records.validate(write(path, record(0), record(1)), load) == []


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


def test_a_link_and_what_it_leads_to_share_a_lock(tmp_path: Path) -> None:
    real, links = tmp_path / "far" / "runs.jsonl", tmp_path / "near"
    links.mkdir()
    for name in ("test", "more"):
        (links / f"{name}.jsonl").symlink_to(real)
    records.append(links / "test.jsonl", record(0))
    assert sorted(p.name for p in real.parent.iterdir()) == [".runs.jsonl.lock", "runs.jsonl"]
    source = write(tmp_path / "a.jsonl", record(1), record(2, experiment="more"))
    records.merge([source], links)  # one lock for both: it does not wait for itself
    assert [r["config"]["seed"] for r in records.read(real)] == [0, 2, 1]
    assert all(path.is_symlink() for path in links.glob("*.jsonl"))


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/b", "/etc/x", "..", ".", "", ".hidden", "a\\b", "C:x", "a\nb", "x" * 101, 7),
        *("a*b", "a?", "a<b", "a>b", 'a"b', "a|b", "x.", "x ", "ü" * 51),
        *("con", "NUL", "aux.v2", "Com1", "lpt9.x.y", "prn .x", "com²"),
    ],
)
def test_an_experiment_that_is_no_file_name_of_the_folder(tmp_path: Path, name: object) -> None:
    with pytest.raises(RecordError, match="is not a file name"):
        records.file_of(tmp_path / "results", name)
    with pytest.raises(RecordError, match=r"is not a file name|experiment is not text"):
        records.append(tmp_path / "runs.jsonl", record(experiment=name))
    assert not list(tmp_path.iterdir())


def test_an_experiment_has_a_file(tmp_path: Path) -> None:
    for name in ("table1", "my run, second", "größe", "v1.2", "console", "com10", "ü" * 50):
        assert records.file_of(tmp_path, name) == tmp_path / f"{name}.jsonl"


def test_a_path_may_be_text(tmp_path: Path) -> None:
    path = records.file_of(str(tmp_path / "one"), "test")
    records.append(str(path), record())
    assert records.merge([str(path)], str(tmp_path / "two")) == {tmp_path / "two" / "test.jsonl": 1}
    assert records.validate(str(tmp_path / "two"), dict) == []
