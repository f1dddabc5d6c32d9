"""Both roads of ``sampled_loss`` against a gather and autograd, for every loss of the registry."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from psl import scoring
from psl.losses import LOSSES, get_loss
from psl.scoring import sampled_loss

# 64 columns and more a score: the gather is taken when N * 64 < I.
PRODUCT, GATHER = (37, 13), (800, 3)


def problem(items: int, count: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    g = torch.Generator().manual_seed(items)
    batch, dim = 11, 6
    users = torch.randn(batch, dim, generator=g, dtype=dtype) * 0.2
    table = torch.randn(items, dim, generator=g, dtype=dtype) * 0.2
    positive = torch.randint(items, (batch,), generator=g)
    negative = torch.randint(items, (batch, count), generator=g)
    # The same item twice in a row, and the positive among them: gradients must add up.
    negative[0, 1], negative[1, 0], positive[3] = negative[0, 0], positive[1], positive[2]
    return [users, table, positive, negative]


def reference(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, loss) -> Tensor:
    score = (users[:, None, :] * items[torch.cat([positive[:, None], negative], 1)]).sum(-1)
    return loss(score[:, 0], score[:, 1:]).mean()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("rows", [1, 4, 11, 64])
def test_value_and_gradients(name: str, size: tuple[int, int], rows: int) -> None:
    loss = get_loss(name).build(0.2)
    loss.reduction = "none"
    users, items, positive, negative = problem(*size)
    results = []
    for route in (reference, lambda *a: sampled_loss(*a, rows=rows)):
        u, v = users.clone().requires_grad_(), items.clone().requires_grad_()
        value = route(u, v, positive, negative, loss)
        # A factor on the loss must reach the gradients.
        results.append((value, *torch.autograd.grad(3 * value, (u, v))))
    for expected, got in zip(*results, strict=True):
        assert torch.allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("size", [PRODUCT, GATHER])
def test_single_precision(size: tuple[int, int]) -> None:
    loss = get_loss("psl-relu").build(0.1)
    loss.reduction = "none"
    single = sampled_loss(*problem(*size, dtype=torch.float32), loss)
    double = reference(*problem(*size), loss)
    # randn of the two precisions differ: compare with the single-precision problem widened.
    users, items, positive, negative = problem(*size, dtype=torch.float32)
    double = reference(users.double(), items.double(), positive, negative, loss)
    assert float(single) == pytest.approx(float(double), rel=1e-5)


def test_the_road_follows_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    forward = scoring._SampledLoss.forward
    monkeypatch.setattr(
        scoring._SampledLoss,
        "forward",
        staticmethod(lambda *a: (taken.append(1), forward(*a))[1]),
    )
    loss = get_loss("sl").build(0.1)
    loss.reduction = "none"
    sampled_loss(*problem(*GATHER), loss)
    assert not taken
    sampled_loss(*problem(*PRODUCT), loss)
    assert taken


def test_nothing_is_kept_when_nothing_is_asked_for() -> None:
    loss = get_loss("sl").build(0.1)
    loss.reduction = "none"
    for size in (PRODUCT, GATHER):
        assert not sampled_loss(*problem(*size), loss).requires_grad
