"""Whatever a loss returns, ``sampled_loss`` gives the right number or none."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from psl.activations import ACTIVATIONS, Activation
from psl.losses import BPRLoss, PairwiseSoftmaxLoss, softmax_loss
from psl.ops import catalogue_loss, sampled_loss
from scoring_problems import KERNELS, PRODUCT, problem, reference


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("inner", ["sum", "mean"])
def test_a_scalar_of_unknown_meaning_is_refused(inner: Any, reduction: Any) -> None:
    """A sum that a lambda hides was returned as the mean."""
    inputs = problem(*PRODUCT)
    with pytest.raises(ValueError, match="one value a row"):
        sampled_loss(*inputs, lambda p, n: softmax_loss(p, n, reduction=inner), reduction=reduction)
    with pytest.raises(ValueError, match="one value a row"):
        sampled_loss(*inputs, lambda p, n: n, reduction=reduction)


def test_what_says_that_it_is_a_mean_is_one() -> None:
    inputs = problem(*PRODUCT)
    expected = reference(*inputs, softmax_loss)
    for loss in (softmax_loss, partial(softmax_loss, tau=0.1)):
        assert torch.allclose(sampled_loss(*inputs, loss), expected)
    for reduction in ("sum", "none"):
        with pytest.raises(ValueError, match="one value a row"):
            sampled_loss(*inputs, BPRLoss(), reduction=reduction)
    with pytest.raises(ValueError, match="reduction must be"):
        sampled_loss(*inputs, BPRLoss(), reduction="avg")
    with pytest.raises(ValueError, match="reduction must be"):
        catalogue_loss(*inputs[:3], PairwiseSoftmaxLoss(), reduction="avg")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_activation_without_a_kernel_is_taken_in_torch(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one, and another under a name that the kernels know."""
    square = Activation("square", lambda d: 2 * torch.log1p(d / 2), lambda d: 1 / (1 + d / 2))
    for name in ("square", "relu"):
        monkeypatch.setitem(ACTIVATIONS, name, square)
        users, items, positive, negative = problem(*PRODUCT, dtype=dtype)
        inputs = users.requires_grad_(), items.requires_grad_()
        loss = PairwiseSoftmaxLoss(0.2, name)
        assert loss.fused is not None
        results = []
        for path in (sampled_loss, reference):
            value = path(*inputs, positive, negative, loss)
            results.append((value, *torch.autograd.grad(value, inputs)))
        for got, expected in zip(*results, strict=True):
            assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)
        assert torch.isfinite(catalogue_loss(*inputs, positive, loss))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [PRODUCT, (800, 3)])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_value_alone_has_the_same_bits_and_costs_no_gradient(
    mode: Any,
    size: tuple[int, int],
    dtype: torch.dtype,
    kernels: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PSL_KERNELS", kernels)
    users, items, positive, negative = problem(*size, dtype=dtype)
    inputs, taken = (users.requires_grad_(), items.requires_grad_()), []
    operator = torch.ops.psl.pairwise_softmax.default

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if func is operator:
                taken.append([len(g) for g in out[1:]])
            return out

    def values() -> list[Tensor]:
        loss = PairwiseSoftmaxLoss(0.2)
        return [
            sampled_loss(*inputs, positive, negative, loss).detach(),
            catalogue_loss(*inputs, positive, loss).detach(),
        ]

    with Spy():
        expected = values()
    with mode(), Spy():
        got = values()
    assert taken == [[11, size[0]]] * 2 + [[0, 0]] * 2
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
