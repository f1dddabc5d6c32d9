"""`psl dynamics`: refusals in one line; a measured run is not trained again."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import Psl, assert_refused
from companion import dynamics
from companion.released import PaperConfig
from psl.dataset import Dataset
from small_runs import SMALL, data


def test_what_has_no_such_weight_is_refused(psl: Psl, tmp_path: Path) -> None:
    there = ("dynamics", "--dataset", "amazon-health", "--results", str(tmp_path))
    assert_refused(psl(*there, "--loss", "bpr"), "bpr has no weight", "psl-relu")
    assert_refused(psl(*there, "--seeds", "4-0"), "--seeds takes numbers")
    assert_refused(psl("dynamics", "--dataset", "nowhere"), "nowhere")
    assert not list(tmp_path.iterdir())


def test_a_measured_run_is_not_trained_again(
    psl: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(dataset: str, setting: str, **changes: object) -> PaperConfig:
        return SMALL

    trained = []

    def two_epochs(config: PaperConfig, of: Dataset, **options: object) -> dynamics.Trace:
        trained.append(config.run_id)
        return TRACE(config, of, epochs=(1, 2), device="cpu")

    TRACE = dynamics.trace
    monkeypatch.setattr("companion.cli.dynamics.cell", small)
    monkeypatch.setattr("companion.cli.dynamics.datasets.load", lambda *_: data())
    monkeypatch.setattr(dynamics, "trace", two_epochs)
    asked = ("dynamics", "--dataset", "synthetic", "--loss", "psl-relu", "--results", str(tmp_path))
    first, second = psl(*asked), psl(*asked)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert len(trained) == 1 and "is there" in second.stderr
    (found,) = dynamics.read(tmp_path)
    assert found.run_id == trained[0] and "one measured run" in first.stdout
