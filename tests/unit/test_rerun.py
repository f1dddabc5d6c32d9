"""Recorded runs trained again as far as their first validation."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch

from companion.rerun import rerun
from psl.errors import TrainingError
from small_runs import SMALL, data, run


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return run(dataclasses.replace(SMALL, epochs=5, validate_every=2)).record


def test_a_run_comes_out_again(recorded: dict[str, Any]) -> None:
    found = rerun(recorded, data(), device="cpu")
    assert found.epoch == 2 and found.gap == 0 and found.device == recorded["device"]
    first = recorded["validation_curve"][0]
    assert found.now == {k: first[k] for k in ("loss", "ndcg@20")}


def test_it_runs_in_the_recorded_number_of_threads(recorded: dict[str, Any]) -> None:
    before, device = torch.get_num_threads(), "cpu, 3 threads, another"
    found = rerun(recorded | {"device": device}, data(), device="cpu")
    assert found.device.startswith("cpu, 3 threads,") and torch.get_num_threads() == before


@pytest.mark.parametrize("key", ["loss", "ndcg@20"])
def test_another_result_shows(recorded: dict[str, Any], key: str) -> None:
    other = copy.deepcopy(recorded)
    other["validation_curve"][0][key] += 1e-3
    other["validation_curve"][1][key] += 1  # beyond the first validation nothing is seen
    assert rerun(other, data(), device="cpu").gap == pytest.approx(1e-3)


@pytest.mark.parametrize("key", ["loss", "ndcg@20"])
def test_what_is_not_a_number_is_not_the_same(recorded: dict[str, Any], key: str) -> None:
    other = copy.deepcopy(recorded)
    other["validation_curve"][0][key] = math.nan
    assert math.isnan(rerun(other, data(), device="cpu").gap)


def test_what_cannot_be_compared(recorded: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=r"does not load .*'momentum'"):
        rerun(recorded | {"config": recorded["config"] | {"momentum": 0.9}}, data())
    with pytest.raises(TrainingError, match="is not the data that the run"):
        rerun(recorded | {"dataset_fingerprint": "f"}, data())
    with pytest.raises(TrainingError, match="has no validation"):
        rerun(recorded | {"validation_curve": []}, data())
