"""`psl train --like`, and the curve of a training."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from command import TINY, Psl, assert_refused
from companion import records
from companion.cli import train as command
from companion.curves import COLUMNS, CurveFile
from companion.experiments import like
from companion.records import find_run
from companion.released import PaperConfig
from psl.errors import RecordError
from psl.training import Progress


def test_like_a_record_but_for_what_is_given(psl: Psl, tmp_path: Path) -> None:
    one = json.loads(psl("train", *TINY, "--lr", "0.2", "--results", "old", "--json").stdout)
    words = ("train", "--like", one["run_id"][:6], "--like-from", "old", "--seed", "7")
    done = psl(*words, "--json")
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)
    assert two["config"] == {**one["config"], "seed": 7}
    assert len(records.read(tmp_path / "results")) == 1
    same = json.loads(psl("train", "--like", two["run_id"], "--json").stdout)
    assert same["run_id"] == two["run_id"] and same["metrics"] == two["metrics"]


def test_a_run_that_is_not_there_is_one_line(psl: Psl, tmp_path: Path) -> None:
    for seed in ("0", "1"):
        assert psl("train", *TINY, "--seed", seed).returncode == 0
    assert_refused(psl("train", "--like", "zz"), "no record of a run whose id begins 'zz'")
    assert_refused(psl("train", "--like", ""), "begins ''")
    assert_refused(psl("train", "--like", "a", "--like-from", "none"), "begins 'a'")
    assert_refused(psl("train", "--like", "a", "--tuned"), "exclude each other")
    assert_refused(psl("train", "--like-from", "results"), "is for --like")
    made = [{"run_id": "ab1", "created": "1"}, {"run_id": "ab2", "created": "2"}]
    with pytest.raises(RecordError, match="2 runs have an id that begins 'ab': ab1, ab2"):
        find_run(made, "ab")
    assert find_run([*made, {"run_id": "ab1", "created": "3"}], "ab1")["created"] == "3"


def test_like_a_run_on_ones_own_archive(psl: Psl, tmp_path: Path) -> None:
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40}" for u in range(30) for k in range(15)]
    (tmp_path / "mine.csv").write_text("\n".join(["user,item", *rows]))
    for name, seed in (("far/mine.zip", "0"), ("other/mine.zip", "1"), ("next.zip", "2")):
        split = ("data", "split", "mine.csv", "--output", name, "--core", "3", "--seed", seed)
        assert psl(*split).returncode == 0
    done = psl("train", *TINY, "--dataset", "far/mine.zip", "--json")
    one = json.loads(done.stdout)
    again = ("train", "--like", one["run_id"], "--json")
    assert_refused(psl(*again), "mine.zip, which is not here", "--dataset says where")
    assert json.loads(psl(*again, "--dataset", "far/mine.zip").stdout)["run_id"] == one["run_id"]
    assert_refused(psl(*again, "--dataset", "other/mine.zip"), "of other data")
    next_ = json.loads(psl(*again, "--dataset", "next.zip").stdout)
    assert next_["config"]["dataset"] == "next.zip"
    assert next_["dataset_fingerprint"] != one["dataset_fingerprint"]


@pytest.mark.parametrize(
    ("before", "changes", "gone"),
    [
        ({"loss": "bsl", "tau2": 0.2}, {"loss": "sl"}, {"tau2"}),
        ({"backbone": "lightgcn", "layers": 2}, {"backbone": "mf"}, {"layers"}),
        (
            {"setting": "noise", "noise_ratio": 0.1, "drop_marked": True},
            {"setting": "iid"},
            {"noise_ratio", "drop_marked"},
        ),
    ],
)
def test_what_another_model_has_not_is_left_behind(
    before: dict[str, Any], changes: dict[str, Any], gone: set[str]
) -> None:
    config = PaperConfig(lr=0.2, seed=3, **before)
    found = like(config.as_dict(), changes)
    kept = {k: v for k, v in config.as_dict().items() if k not in gone}
    assert found == PaperConfig(**{**kept, **changes})
    assert found.lr == 0.2 and like(config.as_dict(), {}) == config


def test_the_curve_has_each_epoch_and_is_that_of_the_record(psl: Psl, tmp_path: Path) -> None:
    words = ("train", *TINY, "--epochs", "5", "--validate-every", "2", "--curve", "c/x.csv")
    done = psl(*words, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    table = pd.read_csv(tmp_path / "c" / "x.csv", dtype={"run_id": str})
    assert tuple(table.columns) == COLUMNS and set(table["run_id"]) == {record["run_id"]}
    assert table["epoch"].tolist() == [1, 2, 3, 4, 5] and table["loss"].notna().all()
    at = table.dropna()[["epoch", "loss", "ndcg@20"]].to_dict("records")
    assert at == record["validation_curve"]
    assert psl(*words).returncode == 0, "the same run again"
    other = ("train", *TINY, "--curve", "c/x.csv", "--seed", "1")
    assert_refused(psl(*other), "no curve of this run", "--replace")
    assert psl(*other, "--replace").returncode == 0
    assert len((tmp_path / "c" / "x.csv").read_text().splitlines()) == 3
    assert_refused(psl("train", *TINY, "--curve", "x.txt"), "must end in .csv")


def test_a_stopped_run_has_one_curve(
    psl: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an epoch that is trained again the last attempt stays."""
    right = command.train

    def stopped(*given: Any, progress: Any, **options: Any) -> Any:
        def show(p: Progress) -> None:
            progress(p)
            if p.loss is not None and p.epoch == 3:
                raise KeyboardInterrupt  # its state is not written: it is trained again

        return right(*given, progress=show, **options)

    words = ("train", *TINY, "--epochs", "5", "--curve", "x.csv")
    with monkeypatch.context() as patch:
        patch.setattr(command, "train", stopped)
        assert psl(*words).returncode == 130
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 4
    assert psl(*words, "--resume").returncode == 0
    resumed = (tmp_path / "x.csv").read_text()
    assert psl(*words, "--restart").returncode == 0
    assert (tmp_path / "x.csv").read_text() == resumed


def test_a_damaged_curve_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for text in ("", "a,b\n", ",".join(COLUMNS) + "\nr,one,2,\n", ",".join(COLUMNS) + "\nr,1\n"):
        path.write_text(text)
        with pytest.raises(Exception, match="no curve of this run"):
            CurveFile(path, "r")
        assert path.read_text() == text


def test_tensorboard_reads_the_same_numbers(psl: Psl, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is missing (extra `tensorboard`)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = ("train", *TINY, "--epochs", "4", "--validate-every", "2", "--tensorboard", "tb")
    record = json.loads(psl(*words, "--json").stdout)
    read = EventAccumulator(str(tmp_path / "tb" / record["run_id"])).Reload()
    assert [e.step for e in read.Scalars("loss")] == [1, 2, 3, 4]
    found = [(e.step, pytest.approx(e.value)) for e in read.Scalars("validation/ndcg@20")]
    assert found == [(p["epoch"], p["ndcg@20"]) for p in record["validation_curve"]]


def test_without_tensorboard_the_extra_is_named(psl: Psl, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert_refused(psl("train", *TINY, "--tensorboard", "tb"), "psl[tensorboard]")
