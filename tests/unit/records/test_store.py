"""Run records: what goes in comes out, and what is wrong does not go in."""

from __future__ import annotations

import math
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from companion import records
from psl.errors import RecordError
from run_records import OTHER, SAME, record, sealed, write


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
    (other, new) = records.read(path)
    assert other == record(1) and new["metrics"] == OTHER


def test_a_run_made_again_keeps_when_its_result_was_first_there(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    times = [f"2024-01-0{day}T00:00:00+00:00" for day in (2, 3, 4)]
    for time in times:
        returned = records.append(path, record(0, created=time))
        assert records.read(path) == [returned]
    assert returned["created"] == times[2] and returned["first_seen"] == times[0]
    assert "first_seen" not in records.append(path, record(1))


@pytest.mark.parametrize("changes", [{"device": "gpu"}, {"dataset_fingerprint": "0" * 64}])
def test_on_another_device_or_data_it_is_another_run(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "runs.jsonl"
    records.append(path, record(0))
    records.append(path, record(0, metrics=OTHER, **changes))
    assert records.read(path) == [record(0), record(0, metrics=OTHER, **changes)]


POINT = {"epoch": 3, "loss": 1.5, "ndcg@20": 0.25}
CONFIG = record()["config"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": SAME | {"ndcg@20": math.nan}}, "metrics.ndcg@20: Input should be"),
        ({"metrics": SAME | {"ndcg@20": 1.5}}, "metrics.ndcg@20: Input should be less"),
        ({"metrics": SAME | {"ndcg@20": -0.5}}, "metrics.ndcg@20: Input should be greater"),
        ({"metrics": SAME | {"ndcg@20": "0.5"}}, "metrics.ndcg@20: Input should be a valid number"),
        ({"metrics": SAME | {"auc": 0.5}}, "metrics.auc.*: String should match pattern"),
        ({"metrics": {}}, "metrics lack 'recall@20'"),
        ({"metrics": {"recall@20": 0.5}}, "metrics lack 'ndcg@20'"),
        ({"metrics": SAME | {"ndcg@20": 0.0}}, "of its metrics at 20 some are 0"),
        ({"metrics": SAME | {"recall@20": 0.0}}, "of its metrics at 20 some are 0"),
        ({"metrics": SAME | {"recall@10": 0.6}}, "its recall@20 is below that of a shorter list"),
        ({"metrics": SAME | {"mrr@50": 0.1, "mrr@5": 0.2}}, "its mrr@50 is below"),
        ({"seconds": math.inf}, "seconds: Input should be a finite number"),
        ({"seconds": "3"}, "seconds: Input should be a valid number"),
        ({"seconds": True}, "seconds: Input should be a valid number"),
        ({"seconds": -1.0}, "seconds: Input should be greater"),
        ({"device": None}, "device: Input should be a valid string"),
        ({"created": "yesterday"}, "created: String should match"),
        ({"dataset_fingerprint": "f"}, "dataset_fingerprint: String should match"),
        ({"validation_curve": {}}, "validation_curve: Input should be a valid list"),
        ({"validation_curve": []}, "validation_curve: List should have at least 1"),
        ({"validation_curve": [POINT | {"loss": math.nan}]}, "validation_curve.0.loss: "),
        ({"validation_curve": [POINT, POINT]}, "has 2 points and its configuration 1"),
        ({"validation_curve": [POINT | {"epoch": 2}]}, "the epochs of its validation_curve"),
        ({"best_epoch": 2}, "its best_epoch is not the best of its validation_curve"),
        ({"run_id": "0" * 16}, "not the digest of its config"),
        ({"config": {**CONFIG, "seed": 7}, "run_id": record()["run_id"]}, "not the digest of its"),
        ({"config": {**CONFIG, "tau": [1]}}, "config.tau: Input should be a valid number"),
        ({"config": {**CONFIG, "tau": -1.0}}, "configuration does not load .tau must be positive"),
        ({"config": {**CONFIG, "layers": 2}}, "does not load .sl on mf has no option layers"),
        ({"config": {**CONFIG, "tau2": None}}, "not the one that this version writes"),
        ({"config": {**CONFIG, "epochs": 6}, "validation_curve": [POINT]}, "the epochs of its"),
        ({"config": {**CONFIG, "epochs": 4, "validate_every": 3}, "validation_curve": [POINT]},
         "has 1 points and its configuration 2"),
        ({"config": {**CONFIG, "momentum": 0.9}}, "config.momentum: Extra inputs"),
        ({"note": "x"}, "note: Extra inputs"),
        ({"schema": 2}, "its schema is not 3, the one that this version of psl reads"),
    ],
)  # fmt: skip
def test_what_is_wrong_does_not_go_in(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = tmp_path / "runs.jsonl"
    records.append(path, record())
    before = path.read_bytes()
    with pytest.raises(RecordError, match=f"the new record: .*{words}"):
        records.append(path, record(**changes))
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [math.nan, 10**400, "\ud800", {1, 2}])
def test_what_json_has_not(tmp_path: Path, value: object) -> None:
    for changes in ({"seconds": value}, {"device": value}):
        with pytest.raises(RecordError):
            records.append(tmp_path / "runs.jsonl", {**record(), **changes})
    assert not (tmp_path / "runs.jsonl").exists()


def test_an_edit_shows(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.jsonl", record(0), record(1) | {"seconds": 91.0})
    with pytest.raises(RecordError, match=r"runs\.jsonl:2: its digest is not that of its content"):
        records.read(path)


def test_what_is_appended_gets_its_digest(tmp_path: Path) -> None:
    entry = record()
    del entry["digest"]
    assert records.append(tmp_path / "runs.jsonl", entry) == record()
    assert records.read(tmp_path) == [record()]


@pytest.mark.parametrize("key", [k for k in record() if k != "digest"])
def test_a_missing_key(tmp_path: Path, key: str) -> None:
    entry = record()
    del entry[key]
    words = "its schema is not 3" if key == "schema" else f"{key}: Field required"
    with pytest.raises(RecordError, match=words):
        records.append(tmp_path / "runs.jsonl", sealed(entry))
    assert not (tmp_path / "runs.jsonl").exists()


@pytest.mark.parametrize("key", list(CONFIG))
def test_a_missing_setting(tmp_path: Path, key: str) -> None:
    config = {k: v for k, v in CONFIG.items() if k != key}
    with pytest.raises(RecordError, match=f"config.{key}: Field required"):
        records.append(tmp_path / "runs.jsonl", record(config=config))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"run_id": "abc', ":2: not JSON"),
        (b"[1, 2]", ":2: Input should be a valid dictionary"),
        (b'{"schema": 3}', ":2: run_id: Field required"),
        (b"{}", ":2: its schema is not 3"),
        (b"\xff\xfe", ":2: not JSON"),
        (b"[" * 100_000, ":2: not JSON"),
        (b'{"schema": ' + b"9" * 5000 + b"}", ":2: not JSON"),
        (b'{"schema": 3, "seconds": 1e999}', ":2: run_id: Field required"),
        (rb'{"schema": "\ud800"}', ":2: not JSON"),
        (rb'{"schema": 3, "run\nid\u2028": 1}', ":2: run_id: Field required"),
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


def test_nothing_to_read(tmp_path: Path) -> None:
    assert records.read(tmp_path) == records.read(tmp_path / "none") == []
    with pytest.raises(RecordError, match=r"none\.jsonl: there is no such file"):
        records.read(tmp_path / "none.jsonl")


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


def test_of_one_run_the_record_made_last_counts() -> None:
    first, last = (record(device=d, created=f"{t}-01-01T00:00:00+00:00") for d, t in
                   (("gpu", "2024"), ("cpu", "2025")))  # fmt: skip
    assert records.by_time([last, first]) == [first, last]
    # In whichever order two of one second are read.
    alike = [record(device=d) for d in ("one", "two")]
    assert records.by_time(alike) == records.by_time(alike[::-1])


def test_problems_are_all_named_with_their_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "runs.jsonl",
        record(0),
        record(1, metrics=SAME | {"ndcg@20": 0.0}),
        record(2),
        record(0, seconds=1.0),
    )
    found = records.problems(path)
    assert [p.split(": ")[0].rsplit(":", 1)[1] for p in found] == ["2", "4"]
    assert "runs.jsonl:1 again" in found[1]
    assert records.problems(write(path, record(0), record(1))) == []


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
    with pytest.raises(RecordError, match=r"is not a file name|experiment: "):
        records.append(tmp_path / "runs.jsonl", record(experiment=name))
    assert not list(tmp_path.iterdir())


def test_an_experiment_has_a_file(tmp_path: Path) -> None:
    for name in ("table1", "my run, second", "größe", "v1.2", "console", "com10", "ü" * 50):
        assert records.file_of(tmp_path, name) == tmp_path / f"{name}.jsonl"


def test_a_path_may_be_text(tmp_path: Path) -> None:
    path = records.file_of(str(tmp_path / "one"), "test")
    records.append(str(path), record())
    assert records.merge([str(path)], str(tmp_path / "two")) == {tmp_path / "two" / "test.jsonl": 1}
    assert records.problems(str(tmp_path / "two")) == []


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for name in (".runs.jsonl.1a2b3c4d", ".other.jsonl.1a2b3c4d", ".runs.jsonl.notes"):
        (tmp_path / "results" / name).touch()
    records.append(tmp_path / "results" / "runs.jsonl", record())
    left = {p.name for p in (tmp_path / "results").iterdir()}
    assert left >= {"runs.jsonl", ".other.jsonl.1a2b3c4d", ".runs.jsonl.notes"}
    assert ".runs.jsonl.1a2b3c4d" not in left
