"""Rows of which a mask leaves nothing: 0, without a gradient, and not counted in the mean."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from psl import PairwiseSoftmaxLoss
from psl.activations import ACTIVATIONS
from psl.losses import LOSSES, Batch, pairwise_softmax_loss
from psl.ops import sampled_loss
from scoring_problems import KERNELS, loss_by_name

FORMS = [("outside", "sum"), ("outside", "mean"), ("inside", "sum")]


def in_batch(batch: int, dtype: torch.dtype, *gone: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of a batch against its own items, without the positives and all of the rows gone."""
    g = torch.Generator().manual_seed(batch)
    scores = (torch.rand(batch, batch, generator=g) - 0.5).to(dtype)
    weight = torch.zeros(batch, batch).fill_diagonal_(-math.inf)
    weight[list(gone)] = -math.inf
    return scores.diagonal().clone(), scores, weight


def naive(p: Tensor, n: Tensor, weight: Tensor, tau: float, name: str, settings: tuple) -> list:
    """Take each row by itself, of the items that are left alone."""
    form, correction = settings
    rows = []
    for i in range(len(p)):
        left = [j for j in range(n.shape[1]) if weight[i, j] > -math.inf]
        log = ACTIVATIONS[name].log
        terms = [
            log(n[i, j] - p[i]) / tau if form == "outside" else log((n[i, j] - p[i]) / tau)
            for j in left
        ]
        if terms:
            total = torch.stack(terms).exp().sum()
            rows.append((total / len(terms) if correction == "mean" else total).log())
    return rows


@pytest.mark.parametrize("settings", FORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("batch", "gone"), [(8, (3,)), (8, tuple(range(8))), (1, ()), (5, ())])
def test_a_mask_is_what_a_loop_over_the_items_left_gives(
    batch: int, gone: tuple[int, ...], activation: str, settings: tuple[Any, Any]
) -> None:
    form, correction = settings
    scores = in_batch(batch, torch.float64, *gone)
    for reduction in ("mean", "sum", "none"):
        p, n, weight = (x.clone() for x in scores)
        p.requires_grad_(), n.requires_grad_()
        value = pairwise_softmax_loss(
            p, n, 0.2, activation, form=form, correction=correction, log_weight=weight,
            reduction=reduction,
        )  # fmt: skip
        got = (value.sum(), *torch.autograd.grad(value.sum(), (p, n)))
        rows = naive(p, n, weight, 0.2, activation, settings)
        total = sum(rows, 0 * (p.sum() + n.sum()))
        total = total / max(len(rows), 1) if reduction == "mean" else total
        expected = (total, *torch.autograd.grad(total, (p, n)))
        for one, two in zip(got, expected, strict=True):
            assert torch.allclose(one, two, rtol=1e-12, atol=1e-12)
        if reduction == "none":
            assert not value[list(gone)].any()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_finite_loss_stays_finite(
    activation: str, dtype: torch.dtype, autocast: bool, compiled: bool
) -> None:
    """In every dtype, under autocast and compiled, also with a temperature that is learned."""
    p, n, weight = in_batch(8, dtype, 3)
    tau = torch.nn.Parameter(torch.tensor(0.2))
    inputs = p.requires_grad_(), n.requires_grad_(), tau
    loss: Any = PairwiseSoftmaxLoss(tau, activation)
    expected = pairwise_softmax_loss(p.double(), n.double(), 0.2, activation, log_weight=weight)
    torch.compiler.reset()
    loss = torch.compile(loss, backend="aot_eager", fullgraph=True) if compiled else loss
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = loss(p, n, weight.to(dtype))
    gradients = torch.autograd.grad(value, inputs)
    assert all(torch.isfinite(g).all() for g in gradients)
    assert not gradients[1][3].any() and gradients[1].any()
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_score_of_an_item_that_is_removed_does_not_count(activation: str, score: float) -> None:
    p, n, weight = in_batch(6, torch.float32, 3)
    expected = pairwise_softmax_loss(p, n, 0.2, activation, log_weight=weight)
    n[weight == -math.inf] = score
    n.requires_grad_()
    value = pairwise_softmax_loss(p, n, 0.2, activation, log_weight=weight)
    assert torch.equal(value, expected)
    assert torch.isfinite(torch.autograd.grad(value, n)[0]).all()


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_weight_that_is_no_number_is_refused(weight: float) -> None:
    p, n, weights = in_batch(4, torch.float32)
    weights[1, 2] = weight
    with pytest.raises(ValueError, match="log_weight must be a number or -inf"):
        pairwise_softmax_loss(p, n, log_weight=weights)


def test_a_weight_beyond_the_scores_is_refused() -> None:
    p, n, weights = in_batch(4, torch.float32)
    weights = weights.double()
    weights[1, 2] = 1e300
    with pytest.raises(ValueError, match="log_weight must be a number or -inf"):
        pairwise_softmax_loss(p, n, log_weight=weights)


def test_a_mask_on_a_gpu_is_not_waited_for() -> None:
    """A tensor of the device meta has no numbers: whoever reads one fails."""
    p, n, weight = (torch.zeros(s, device="meta") for s in ((3,), (3, 4), (4,)))
    assert pairwise_softmax_loss(p, n, log_weight=weight).shape == ()


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_of_an_empty_batch_is_0(
    name: str, dtype: torch.dtype, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From scores and from embeddings; no gradient is NaN, and none is missing."""
    monkeypatch.setenv("PSL_KERNELS", kernels)
    ids, some = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.int64)
    loss = loss_by_name(name, Batch(ids, ids, some))
    u, v = torch.zeros(0, 8, dtype=dtype), torch.ones(9, 8, dtype=dtype)
    u.requires_grad_(), v.requires_grad_()
    value = sampled_loss(u, v, ids, some, loss)
    assert float(value.detach()) == 0
    assert all(not g.any() for g in torch.autograd.grad(value, (u, v)))
    if not isinstance(loss, torch.nn.Module):
        return
    loss.reduction = "mean"
    scores = [torch.zeros(s, dtype=dtype).requires_grad_() for s in ((0,), (0, 3))]
    assert float(loss(*scores).detach()) == 0
