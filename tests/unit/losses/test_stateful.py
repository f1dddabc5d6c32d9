"""A loss with state: what must come first, whose gradients, which rows are a group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from companion.released import ReleasedAdvInfoNCELoss
from loss_cases import N, P
from psl.interactions import Interactions
from psl.losses import (
    AdvInfoNCELoss,
    Batch,
    BSLLoss,
    DrRLLoss,
    LLPAUCLoss,
    SLatKLoss,
    SogCLRLoss,
    SogSLatKLoss,
    TalosLoss,
    TrainingSetup,
    bsl_loss,
    slatk_loss,
)


@pytest.mark.parametrize(
    "cls", [SLatKLoss, AdvInfoNCELoss, SogCLRLoss, SogSLatKLoss, TalosLoss, lambda _: DrRLLoss()]
)
def test_a_loss_with_state_says_what_must_come_first(cls: Any) -> None:
    loss, ids = cls(0.1), torch.zeros(3, dtype=torch.int64)
    batch = Batch(ids, ids, torch.zeros(3, 4, dtype=torch.int64))
    with pytest.raises(RuntimeError, match=r"call setup\(\.\.\.\) first"):
        loss(P, N, batch)
    loss(P, N)  # without ids it needs no state
    pairs = Interactions.from_pairs(np.arange(3), np.arange(3), 3, 5)
    loss.setup(TrainingSetup(3, 5, 0.1, 0.0, torch.Generator().manual_seed(0), pairs))
    assert torch.isfinite(loss(P, N, batch))


def test_a_quantile_cannot_be_taken_before_there_is_one() -> None:
    with pytest.raises(RuntimeError, match=r"call setup\(\.\.\.\) first"):
        SLatKLoss(refresh=1).on_epoch_start(2, lambda: lambda users: (N, N))


@pytest.mark.parametrize("group", [torch.zeros(3, 1).long(), torch.zeros(2).long()])
def test_groups_are_one_a_row(group: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="group must have the shape"):
        bsl_loss(P, torch.zeros(3, 4), group=group)


def test_who_weighs_sampled_items_needs_their_ids() -> None:
    ids, loss = torch.arange(3), AdvInfoNCELoss(dim=4)
    loss.setup(TrainingSetup(5, 6, 0.1, 0.0, torch.Generator()))
    with pytest.raises(ValueError, match="it needs their ids"):
        loss(torch.zeros(3), torch.zeros(3, 4), Batch(ids, ids, None))


def test_a_player_uses_its_gradients_up() -> None:
    """Two turns are two gradients and not their sum."""
    loss = LLPAUCLoss()
    g = torch.Generator().manual_seed(0)
    loss.setup(TrainingSetup(5, 7, 0.1, 0.0, g))
    loss(P, torch.zeros(3, 4)).backward()
    loss.optimizer_step()
    assert all(p.grad is None for p in loss.parameters())
    with torch.no_grad():
        loss.alone = torch.nn.Parameter(torch.ones(()))  # in no optimizer
    loss.alone.grad = torch.ones(())
    loss.optimizer_step()
    assert loss.alone.grad is None


def test_a_batch_is_grouped_by_its_users() -> None:
    p, n = torch.tensor([0.1, -0.3, 0.4]), torch.zeros(3, 2)
    batch = Batch(torch.tensor([1, 1, 0]), torch.tensor([0, 1, 1]), torch.zeros(3, 2).long())
    assert torch.equal(BSLLoss(0.1, 0.2)(p, n, batch), bsl_loss(p, n, 0.1, 0.2, batch.users))
    loss = SLatKLoss(0.1)
    loss.setup(TrainingSetup(2, 2, 0.1, 0.0, torch.Generator()))
    loss.quantile.copy_(torch.tensor([0.2, -0.2]))
    quantile = torch.tensor([-0.2, -0.2, 0.2])
    assert torch.equal(loss(p, n, batch), slatk_loss(p, n, 0.1, quantile))


@pytest.mark.parametrize(("released", "std"), [(True, 1.0), (False, (2 / 464) ** 0.5)])
def test_the_first_tables_of_the_adversary(released: bool, std: float) -> None:
    """Standard normal as released; Xavier's, of 400 rows and 64 columns, as published."""
    loss = (ReleasedAdvInfoNCELoss if released else AdvInfoNCELoss)(0.1)
    loss.setup(TrainingSetup(400, 400, 0.1, 0.0, torch.Generator().manual_seed(0)))
    for table in (loss.user, loss.item):
        assert float(table.detach().std()) == pytest.approx(std, rel=0.05)
