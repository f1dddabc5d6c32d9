"""A loss is fused only where that is the same function."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from companion.released import ReleasedBSLLoss
from psl.errors import UnknownNameError
from psl.losses import Batch, PairwiseSoftmaxLoss, SoftmaxLoss
from psl.ops import FusedSpec, catalogue_loss, sampled_loss
from scoring_problems import PRODUCT, problem, reference


class Margin(PairwiseSoftmaxLoss):
    def forward(self, positive: Tensor, negative: Tensor, log_weight=None) -> Tensor:
        return super().forward(positive - 0.3, negative, log_weight)


class BilateralMargin(ReleasedBSLLoss):
    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        return super().forward(positive - 0.3, negative, batch)


def on_the_object() -> PairwiseSoftmaxLoss:
    loss = PairwiseSoftmaxLoss(0.2)
    whole = loss.forward
    loss.forward = lambda p, n: whole(p - 0.3, n)  # type: ignore[method-assign]
    return loss


def hooked(kind: str) -> PairwiseSoftmaxLoss:
    loss = PairwiseSoftmaxLoss(0.2)
    if kind == "before":
        loss.register_forward_pre_hook(lambda _, scores: (scores[0] - 0.3, scores[1]))
    else:
        loss.register_forward_hook(lambda *_: 7 * _[2])
    return loss


@pytest.mark.parametrize(
    "loss",
    [
        Margin(0.2),
        BilateralMargin(0.2, 0.2),
        on_the_object(),
        hooked("before"),
        hooked("after"),
        PairwiseSoftmaxLoss(torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64))),
        SoftmaxLoss(torch.tensor(0.2, dtype=torch.float64)),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_the_module_does_is_what_is_taken(loss, dtype: torch.dtype) -> None:
    inputs = problem(*PRODUCT, dtype=dtype)
    assert loss.fused is None
    expected = reference(*inputs, loss)
    assert torch.allclose(sampled_loss(*inputs, loss), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="no form against the whole catalogue"):
        catalogue_loss(*inputs[:3], loss)


@pytest.mark.parametrize("tau", [-0.1, 0.0, math.nan, math.inf])
def test_settings_that_were_changed_are_checked(tau: float) -> None:
    """An annealed temperature is set on the loss; the fused path refuses what calling it does."""
    for loss in (SoftmaxLoss(0.2), ReleasedBSLLoss(0.1)):
        loss.tau = 0.3
        assert loss.fused is not None
        loss.tau = tau
        with pytest.raises(ValueError, match="tau must be positive"):
            _ = loss.fused
    loss = PairwiseSoftmaxLoss(0.2)
    loss.activation = "gelu"
    with pytest.raises(UnknownNameError, match="unknown activation"):
        _ = loss.fused


def test_the_losses_as_they_are_stay_fused() -> None:
    class Renamed(SoftmaxLoss):
        """It changes nothing."""

    for loss in (PairwiseSoftmaxLoss(0.2), SoftmaxLoss(1), Renamed(0.2)):
        assert loss.fused is not None
        loss.reduction = "none"
        assert loss.fused is not None
    assert ReleasedBSLLoss(0.1, 0.2).fused == FusedSpec(0.2, "exp", 2.0)
    for settings in ({"form": "inside"}, {"correction": "mean"}, {"reduction": "sum"}):
        assert PairwiseSoftmaxLoss(0.2, **settings).fused is None


def test_a_learned_temperature_gets_its_gradient() -> None:
    inputs = problem(*PRODUCT)
    tau = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    loss = PairwiseSoftmaxLoss(tau, "tanh")
    sampled_loss(*inputs, loss).backward()
    ends = [
        float(sampled_loss(*inputs, PairwiseSoftmaxLoss(0.3 + s, "tanh"))) for s in (1e-5, -1e-5)
    ]
    assert tau.grad is not None
    assert float(tau.grad) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gradient_that_is_changed_in_place_is_the_callers_own(dtype: torch.dtype) -> None:
    """As by clipping, between two backward passes of one loss."""
    users, items, positive, negative = problem(*PRODUCT, dtype=dtype)
    inputs = users.requires_grad_(), items.requires_grad_()
    for value in (
        sampled_loss(*inputs, positive, negative, SoftmaxLoss(0.2)),
        catalogue_loss(*inputs, positive, SoftmaxLoss(0.2)),
    ):
        first = torch.autograd.grad(value, inputs, retain_graph=True)
        before = [g.clone() for g in first]
        for gradient in first:
            gradient.zero_()
        again = torch.autograd.grad(value, inputs)
        assert all(torch.equal(a, b) and a.any() for a, b in zip(again, before, strict=True))


def test_a_spec_of_another_kind_is_no_spec() -> None:
    """Read as one, a bare tuple of the right length would be another function without a word."""

    class Mine(PairwiseSoftmaxLoss):
        fused = (0.1, "relu", 1.0)  # type: ignore[assignment]

    users, items, positive, negative = problem(*PRODUCT)
    with pytest.raises(TypeError, match="FusedSpec or None"):
        sampled_loss(users, items, positive, negative, Mine(0.1))
