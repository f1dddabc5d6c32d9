"""Small batches for the scoring operators, and what they must give: a gather and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from psl.interactions import Interactions
from psl.kernels.dispatch import cpu_kernels
from psl.losses import Batch, StatefulLoss, TrainingSetup, get_loss

# 64 columns and more a score: the gather is taken when N * 64 < I.
PRODUCT, GATHER = (37, 13), (800, 3)
needs_kernels = pytest.mark.skipif(cpu_kernels(torch.zeros(1)) is None, reason="numba is missing")
KERNELS = ["off", pytest.param("on", marks=needs_kernels)]


def problem(items: int, count: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    g = torch.Generator().manual_seed(items)
    batch, dim = 11, 8  # the small runs have 8 as well: one width of kernels to compile
    users = torch.randn(batch, dim, generator=g).to(dtype) * 0.2
    table = torch.randn(items, dim, generator=g).to(dtype) * 0.2
    positive = torch.randint(items, (batch,), generator=g)
    negative = torch.randint(items, (batch, count), generator=g)
    # The same item twice in a row, and the positive among them: gradients must add up.
    negative[0, 1], negative[1, 0], positive[3] = negative[0, 0], positive[1], positive[2]
    return [users, table, positive, negative]


def loss_by_name(name: str, batch: Batch | None = None):
    """Build a loss with state, so that nothing it holds is missing."""
    loss = get_loss(name).build(0.2)
    loss.reduction = "none"
    ids = (batch,) if getattr(loss, "needs_ids", False) else ()
    if isinstance(loss, StatefulLoss):
        pairs = Interactions.from_pairs(np.arange(12), np.arange(12), 12, 800)
        loss.setup(TrainingSetup(12, 800, 0.1, 0.0, torch.Generator().manual_seed(1), pairs))
    elif not ids:
        return loss
    return lambda p, n: loss.to(p.dtype)(p, n, *ids)


def reference(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, loss) -> Tensor:
    score = (users[:, None, :] * items[torch.cat([positive[:, None], negative], 1)]).sum(-1)
    return loss(score[:, 0], score[:, 1:]).mean()
