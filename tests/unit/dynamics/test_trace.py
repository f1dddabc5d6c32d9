"""A measured run is the run of the record, and its file is whole or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from companion import dynamics
from psl.errors import RecordError
from psl.training import train
from small_runs import SMALL, data


@pytest.fixture(scope="module")
def noisy_run() -> dynamics.Trace:
    return dynamics.trace(CONFIG, data(), epochs=(2, 4), device="cpu")


CONFIG = replace(
    SMALL, loss="psl-relu", setting="noise", noise_ratio=0.5, drop_marked=True, mark_per_user=True,
    epochs=4, validate_every=2,
)  # fmt: skip


def test_it_is_trained_as_the_record_was(noisy_run: dynamics.Trace) -> None:
    result = train(CONFIG, data(), device="cpu")
    assert noisy_run.run_id == result.record["run_id"]
    curve = {p["epoch"]: p["loss"] for p in result.record["validation_curve"]}
    assert {p.epoch: p.loss for p in noisy_run.points} == curve
    best = noisy_run.at(result.record["best_epoch"]).metrics
    assert best == {k: result.record["metrics"][k] for k in best}


def test_under_noise_both_kinds_of_false_negatives_are_measured(noisy_run: dynamics.Trace) -> None:
    for point in noisy_run.points:
        assert set(point.share) == {"held out", "marked"}
        assert 0.3 < point.drawn["marked"] <= 0.5  # of a user without a marked pair none
        assert all(0 < part < 1 for found in point.share.values() for part in found.values())
        assert point.distance > 0
    with pytest.raises(KeyError):
        noisy_run.at(3)


def test_a_file_comes_back_and_a_changed_one_does_not(
    noisy_run: dynamics.Trace, tmp_path: Path
) -> None:
    path = dynamics.save(noisy_run, tmp_path)
    assert dynamics.read(tmp_path) == [noisy_run]
    whole = path.read_text()
    content = json.loads(whole)
    content["points"][0]["distance"] += 1e-9
    for broken, why in (
        (whole[: len(whole) // 2], "no measured run"),
        ("[]", "no measured run"),
        (json.dumps({**content, "more": 1}), "no measured run"),
        (json.dumps(content), "changed after it was written"),
    ):
        path.write_text(broken)
        with pytest.raises(RecordError, match=why):
            dynamics.read(tmp_path)
    path.write_text(whole)
    path.rename(path.with_stem("0" * 16))
    with pytest.raises(RecordError, match="changed"):
        dynamics.read(tmp_path)


def test_what_is_measured_changes_nothing_of_the_model() -> None:
    often = dynamics.trace(CONFIG, data(), epochs=(1, 2, 3, 4), device="cpu")
    once = dynamics.trace(CONFIG, data(), epochs=(4,), device="cpu")
    assert often.at(4) == once.at(4)
