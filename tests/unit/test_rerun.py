"""Recorded runs trained again as far as their first validation."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch

from companion.rerun import rerun
from psl.errors import TrainingError
from small_runs import SMALL, data, run

RECORD = run(dataclasses.replace(SMALL, epochs=5, validate_every=2)).record


def test_a_run_comes_out_again() -> None:
    found = rerun(RECORD, data(), device="cpu")
    assert found.epoch == 2 and found.gap == 0 and found.device == RECORD["device"]
    first = RECORD["validation_curve"][0]
    assert found.now == {k: first[k] for k in ("loss", "ndcg@20")}


def test_it_runs_in_the_recorded_number_of_threads() -> None:
    before, device = torch.get_num_threads(), "cpu, 3 threads, another"
    found = rerun(RECORD | {"device": device}, data(), device="cpu")
    assert found.device.startswith("cpu, 3 threads,") and torch.get_num_threads() == before


@pytest.mark.parametrize("key", ["loss", "ndcg@20"])
def test_another_result_shows(key: str) -> None:
    other = copy.deepcopy(RECORD)
    other["validation_curve"][0][key] += 1e-3
    other["validation_curve"][1][key] += 1  # beyond the first validation nothing is seen
    assert rerun(other, data(), device="cpu").gap == pytest.approx(1e-3)


@pytest.mark.parametrize("key", ["loss", "ndcg@20"])
def test_what_is_not_a_number_is_not_the_same(key: str) -> None:
    other = copy.deepcopy(RECORD)
    other["validation_curve"][0][key] = math.nan
    assert math.isnan(rerun(other, data(), device="cpu").gap)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(TrainingError, match=r"does not load .*'momentum'"):
        rerun(RECORD | {"config": RECORD["config"] | {"momentum": 0.9}}, data())
    with pytest.raises(TrainingError, match="is not the data that the run"):
        rerun(RECORD | {"dataset_fingerprint": "f"}, data())
    with pytest.raises(TrainingError, match="has no validation"):
        rerun(RECORD | {"validation_curve": []}, data())
