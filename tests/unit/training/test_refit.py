"""Fitting again on all pairs: the same training, of more, and nothing else."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from psl.errors import TrainingError
from psl.interactions import Interactions
from psl.training import RunConfig, refit
from small_runs import SMALL, Stop, data, run, stop_in


def bits(model: Any) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def alike(one: Any, two: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(bits(one), bits(two), strict=True))


@pytest.mark.parametrize("loss", ["psl-relu", "advinfonce"])
def test_it_is_a_run_that_holds_nothing_out(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of distribution, as released, a run trains on its whole train set: here on all pairs."""
    config = dataclasses.replace(SMALL, loss=loss, setting="ood", epochs=3, validate_every=3)
    stored = dataclasses.replace(data(), setting="ood")
    whole = stored.train.union(stored.test)
    assert len(whole) == len(stored.train) + len(stored.test)
    everything = dataclasses.replace(stored, train=whole)
    monkeypatch.setattr("small_runs.data", lambda: everything)
    expected = run(config)
    assert expected.record["best_epoch"] == 3
    longer = dataclasses.replace(config, epochs=50)  # what it says of epochs plays no part
    assert alike(refit(longer, stored, 3, device="cpu"), expected.model)
    assert not alike(refit(config, stored, 2, device="cpu"), expected.model)


def test_stopped_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every state is written, however slow the machine.
    monkeypatch.setattr("psl.training.checkpoint.SHORT", math.inf)
    checkpoint = tmp_path / "again.safetensors"
    with pytest.raises(Stop):
        refit(SMALL, data(), 3, device="cpu", checkpoint=checkpoint, progress=stop_in(3))
    seen: list[int] = []
    resumed = refit(
        SMALL,
        data(),
        3,
        device="cpu",
        checkpoint=checkpoint,
        progress=lambda p: seen.append(p.epoch),
    )
    assert set(seen) == {3}
    assert alike(resumed, refit(SMALL, data(), 3, device="cpu"))


def test_the_state_of_the_run_that_chose_is_not_taken(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.safetensors"
    run(checkpoint=checkpoint)
    with pytest.raises(TrainingError, match="another configuration or dataset"):
        refit(SMALL, data(), SMALL.epochs, device="cpu", checkpoint=checkpoint)


def test_what_diverges_says_nothing_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that chose has one: it must not be denied."""
    monkeypatch.setattr(
        "psl.training.step.sampled_loss", lambda u, v, *_: (u.sum() + v.sum()) * float("nan")
    )
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1") as told:
        refit(SMALL, data(), 2, device="cpu")
    assert "record" not in str(told.value)


def test_bad_input() -> None:
    with pytest.raises(TrainingError, match="epochs must be at least 1, got 0"):
        refit(SMALL, data(), 0)
    with pytest.raises(TrainingError, match="names amazon-health"):
        refit(RunConfig(dataset="amazon-health"), data(), 1)


def test_a_user_of_every_item_is_named() -> None:
    k = np.arange(12)
    full = Interactions.from_pairs(k // 4, k % 4, 3, 5)
    rest = Interactions.from_pairs(np.array([1]), np.array([4]), 3, 5)
    stored = dataclasses.replace(data(), train=full, test=rest)
    with pytest.raises(TrainingError, match="user 1 has every item in train or test"):
        refit(SMALL, stored, 1, device="cpu")
