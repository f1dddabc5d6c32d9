"""What must hold of a loss for every batch, whatever its formula."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from psl import robust_bpr_loss
from psl.losses import (
    LOSSES,
    get_loss,
    pairwise_softmax_loss,
    softmax_loss,
)

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
PSL = ("exp", "tanh", "atan", "relu", "softplus")


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    b, n = draw(st.integers(1, 5)), draw(st.integers(1, 30))
    g = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return (
        torch.rand(b, generator=g, dtype=torch.float64) - 0.5,
        torch.rand(b, n, generator=g, dtype=torch.float64) - 0.5,
    )


taus = st.sampled_from([0.005, 0.025, 0.1, 0.3, 1.0])
names = st.sampled_from(tuple(LOSSES))
# Others compare scores with scalars of their own, a quantile or a margin, not with one another.
pairwise = st.sampled_from(
    [
        name
        for name in LOSSES
        if name in ("bpr", "sl", "bsl", "advinfonce", "simce")
        or name.startswith(("psl-", "lambda"))
    ]
)


def close(one: Tensor, two: Tensor, tolerance: float = 1e-9) -> bool:
    return torch.allclose(one, two, rtol=tolerance, atol=tolerance)


@given(batches(), taus, st.sampled_from(("bpr", "sl", "psl-relu", "bsl", "advinfonce", "llpauc")))
def test_everyone_drawn_once_is_the_full_loss(batch, tau: float, name: str) -> None:
    """A sample that happens to be the whole catalogue gives the loss over the catalogue."""
    p, n = batch
    everyone = n[:1].expand(len(p), -1)
    g = torch.Generator().manual_seed(0)
    drawn = torch.stack([torch.randperm(n.shape[1], generator=g) for _ in p])
    loss = get_loss(name).build(tau)
    assert close(loss(p, everyone.gather(1, drawn)), loss(p, everyone))


@given(batches(), taus, pairwise, st.floats(-3, 3))
def test_only_differences_count(batch, tau: float, name: str, shift: float) -> None:
    p, n = batch
    loss = get_loss(name).build(tau)
    # At tau = .005 a rounding of 1e-16 in d is 2e-14 in d/tau.
    assert torch.allclose(loss(p + shift, n + shift), loss(p, n), rtol=1e-9, atol=1e-9)


@given(batches(), taus, names, st.randoms(use_true_random=False))
def test_the_order_of_negatives_does_not_count(batch, tau: float, name: str, random) -> None:
    p, n = batch
    order = list(range(n.shape[1]))
    random.shuffle(order)
    loss = get_loss(name).build(tau)
    assert torch.allclose(loss(p, n[:, order]), loss(p, n), rtol=1e-12, atol=1e-12)


# Not SL@K: a positive that rises weighs more, and at a high temperature that may cost more.
@given(batches(), taus, st.sampled_from([name for name in LOSSES if not name.startswith("sl@")]))
def test_a_better_ranked_positive_costs_less(batch, tau: float, name: str) -> None:
    p, n = batch
    p, n = p.requires_grad_(), n.requires_grad_()
    up, down = torch.autograd.grad(get_loss(name).build(tau)(p, n), (p, n))
    assert (up <= 0).all() and (down >= 0).all()
    assert torch.isfinite(up).all() and torch.isfinite(down).all()


@given(batches(), taus, st.sampled_from(PSL))
def test_correction_is_the_log_of_the_count(batch, tau: float, activation: str) -> None:
    p, n = batch
    total = pairwise_softmax_loss(p, n, tau, activation)
    mean = pairwise_softmax_loss(p, n, tau, activation, correction="mean")
    assert float(total - mean) == pytest.approx(math.log(n.shape[1]), abs=1e-10)


correction = st.sampled_from(("sum", "mean"))


@given(batches(), taus, st.sampled_from(PSL), st.integers(0, 29), correction)
def test_log_weight_takes_an_item_out(batch, tau, activation, out: int, correction: str) -> None:
    p, n = batch
    if n.shape[1] == 1:
        return
    out %= n.shape[1]
    weight = torch.zeros(n.shape[1], dtype=n.dtype)
    weight[out] = -math.inf
    kept = n[:, [j for j in range(n.shape[1]) if j != out]]
    p, n = p.requires_grad_(), n.requires_grad_()
    options = {"tau": tau, "activation": activation, "correction": correction}
    value = pairwise_softmax_loss(p, n, log_weight=weight, **options)
    expected = pairwise_softmax_loss(p, kept, **options)
    assert torch.allclose(value, expected, rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(value, n)
    assert (slope[:, out] == 0).all() and torch.isfinite(slope).all()


@given(batches(), taus, names)
def test_reductions(batch, tau: float, name: str) -> None:
    p, n = batch
    loss = get_loss(name).build(tau)
    loss.reduction = "none"
    rows = loss(p, n)
    assert rows.shape == p.shape
    loss.reduction = "sum"
    assert torch.allclose(loss(p, n), rows.sum())
    loss.reduction = "mean"
    assert torch.allclose(loss(p, n), rows.mean())


@given(batches(), taus)
def test_surrogates_are_ordered_as_lemma_4_1_says(batch, tau: float) -> None:
    p, n = batch
    rank = ((n - p[:, None]) >= 0).sum(1).double()
    upper = softmax_loss(p, n, tau, reduction="none")
    for activation in ("tanh", "atan", "relu"):
        value = pairwise_softmax_loss(p, n, tau, activation, reduction="none")
        assert (value <= upper + 1e-9).all()
        assert (rank.log() <= value + 1e-9).all()


HALF = (torch.bfloat16, torch.float16)


@settings(max_examples=40)
@given(batches(), taus, st.sampled_from((*LOSSES, "robust")), st.sampled_from(HALF))
def test_half_precision_loses_the_digits_of_the_scores_alone(batch, tau, name, dtype) -> None:
    """Everything after the rounding of the scores is float32, also the first subtraction."""
    loss = robust_bpr_loss if name == "robust" else get_loss(name).build(tau)
    p, n = (x.to(dtype).requires_grad_() for x in batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(p, n)
    exact = [x.detach().float().requires_grad_() for x in (p, n)]
    expected = loss(*exact)
    assert value.dtype == torch.float32 and torch.equal(value, expected)
    gradients = torch.autograd.grad(value, (p, n)), torch.autograd.grad(expected, exact)
    for got, wanted in zip(*gradients, strict=True):
        assert got.dtype == dtype and torch.equal(got, wanted.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", PSL)
def test_the_far_end_of_the_range_is_finite(activation: str, dtype: torch.dtype) -> None:
    """Perfect separation, d = -1 for every negative: relu's sigma is 0 there."""
    p = torch.full((2,), 0.5, dtype=dtype, requires_grad=True)
    n = torch.full((2, 7), -0.5, dtype=dtype, requires_grad=True)
    value = pairwise_softmax_loss(p, n, 0.005, activation)
    value.backward()
    assert torch.isfinite(value)
    assert p.grad is not None and torch.isfinite(p.grad).all()
    assert n.grad is not None and torch.isfinite(n.grad).all()
