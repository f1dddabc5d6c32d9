"""One training step: what it is given, and that recording it changes nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from psl.losses import Batch
from psl.negatives import UniformNegatives
from psl.training.config import RunConfig
from psl.training.state import TrainState
from psl.training.step import recorded_step, train_batch
from small_runs import SMALL, data

CPU = torch.device("cpu")


@pytest.mark.parametrize(("loss", "negatives", "draws"), [("sl", 0, None), ("sl", 7, 7)])
def test_a_batch_has_no_negatives_where_all_items_are_compared(
    loss: str, negatives: int, draws: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``negatives=0`` of the configuration is turned into ``None`` once, before any step."""
    config = dataclasses.replace(SMALL, loss=loss, negatives=negatives)
    assert config.draws == draws and config.as_dict()["negatives"] == negatives
    seen: list[Batch] = []
    monkeypatch.setattr("psl.training.step.recorded_step", lambda _, batch, *__: seen.append(batch))
    train, users = data().train, torch.arange(3)
    state, sampler = TrainState.create(config, train, CPU), UniformNegatives(train)
    train_batch(config, state, sampler, users, users, "model", (1, 1))
    (batch,) = seen
    assert batch.negative is None if draws is None else batch.negative.shape == (3, draws)


def test_a_loss_that_draws_its_own_number_does_so_whatever_is_asked_for() -> None:
    assert RunConfig(loss="bpr", negatives=0).draws == RunConfig(loss="bpr", negatives=9).draws == 1


@pytest.mark.parametrize("negatives", [0, 7])
@pytest.mark.parametrize("loss", ["sl", "psl-relu"])
def test_a_recorded_step_is_the_step(
    loss: str, negatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psl.training.step.CUDAGraphStep", lambda work: work)
    config = dataclasses.replace(SMALL, loss=loss, negatives=negatives)
    train, users = data().train, torch.arange(64)
    negative = None
    if config.draws is not None:
        negative = UniformNegatives(train).sample(users, config.draws, 5)

    def after(use_graphs: bool) -> tuple[Any, ...]:
        state = TrainState.create(config, train, CPU)
        state.use_graphs = use_graphs
        value = recorded_step(state, Batch(users, users + 1, negative), "model", 3)
        assert bool(state.graph_steps) is use_graphs
        return value, *state.model.parameters()

    assert all(torch.equal(a, b) for a, b in zip(after(False), after(True), strict=True))
