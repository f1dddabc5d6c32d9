"""A temperature: a number or a tensor of one, checked where that costs nothing, learned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from companion.released import ReleasedBSLLoss
from loss_cases import N, P
from psl.losses import (
    BSLLoss,
    PairwiseSoftmaxLoss,
    SoftmaxLoss,
    bsl_loss,
    pairwise_softmax_loss,
    slatk_loss,
    softmax_loss,
)


def test_a_learned_temperature_gets_its_gradient() -> None:
    n = torch.tensor([[0.1, -0.2, 0.3, 0.0]]).expand(3, 4)
    for tau in (torch.nn.Parameter(torch.tensor(0.2)), torch.tensor(0.2, requires_grad=True)):
        value = pairwise_softmax_loss(P, n, tau, "tanh")
        value.backward()
        ends = [float(pairwise_softmax_loss(P, n, 0.2 + s, "tanh")) for s in (1e-3, -1e-3)]
        assert float(tau.grad) == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=1e-3)
        assert float(value.detach()) == pytest.approx(
            float(pairwise_softmax_loss(P, n, 0.2, "tanh"))
        )
    loss = PairwiseSoftmaxLoss(torch.nn.Parameter(torch.tensor(0.2)))
    assert [name for name, _ in loss.named_parameters()] == ["tau"]
    with pytest.raises(ValueError, match=r"tau must be positive and finite, got -1\.0"):
        pairwise_softmax_loss(P, N, torch.tensor(-1.0))


def test_a_temperature_is_one_number() -> None:
    for loss in (pairwise_softmax_loss, softmax_loss):
        with pytest.raises(ValueError, match=r"tau must be one number, got shape \(3, 1\)"):
            loss(P, N, torch.full((3, 1), 0.1))
    with pytest.raises(ValueError, match="tau must be one number"):
        PairwiseSoftmaxLoss(torch.ones(2))


def test_a_temperature_that_is_not_on_the_host_is_not_read() -> None:
    """A tensor of the device meta has no number: whoever reads it fails, as a CUDA graph would."""
    p, n, tau = (torch.zeros(s, device="meta") for s in ((3,), (3, 4), ()))
    for value in (
        pairwise_softmax_loss(p, n, tau),
        softmax_loss(p, n, tau),
        bsl_loss(p, n, tau, tau),
        PairwiseSoftmaxLoss(torch.nn.Parameter(tau))(p, n),
        BSLLoss(tau, tau)(p, n),
    ):
        assert value.is_meta and value.shape == ()
    with pytest.raises(ValueError, match="tau must be one number"):
        pairwise_softmax_loss(p, n, p)


@pytest.mark.gpu
@pytest.mark.parametrize("loss", [PairwiseSoftmaxLoss, SoftmaxLoss, BSLLoss])
def test_a_learned_temperature_is_checked_once_and_fits_a_cuda_graph(loss: Any) -> None:
    for wrong in (-1.0, 0.0, math.nan):
        with pytest.raises(ValueError, match="tau must be positive"):
            loss(torch.tensor(wrong, device="cuda"))
    made, p, n = loss(torch.nn.Parameter(torch.tensor(0.2, device="cuda"))), P.cuda(), N.cuda()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        expected = made(p, n)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = made(p, n)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.allclose(got, expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64, int])
def test_a_number_of_numpy_is_a_number(kind: Any) -> None:
    tau = kind(1) if kind is int else kind(0.1)
    for loss in (
        PairwiseSoftmaxLoss(tau),
        SoftmaxLoss(tau),
        ReleasedBSLLoss(tau, tau),
        ReleasedBSLLoss(tau),
    ):
        assert loss.fused is not None
        assert type(loss.fused.tau) is float and loss.fused.tau == float(tau)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_a_temperature_in_a_tensor_changes_neither_shape_nor_dtype(shape: tuple[int, ...]) -> None:
    n = torch.linspace(-0.4, 0.4, 12).view(3, 4)
    tau = torch.full(shape, 0.1, dtype=torch.float64)
    for loss in (pairwise_softmax_loss, bsl_loss, slatk_loss):
        value = loss(P, n, tau, reduction="none")
        assert value.shape == (3,) and value.dtype == torch.float32
        assert torch.allclose(value, loss(P, n, 0.1, reduction="none"))
    assert PairwiseSoftmaxLoss(np.array(0.1))(P, n).dtype == torch.float32


def test_a_quantile_and_a_weight_in_float64_change_no_dtype() -> None:
    one = torch.tensor(0.3, dtype=torch.float64)
    value = slatk_loss(P, N, 0.1, one, one)
    assert value.dtype == torch.float32
    assert torch.allclose(value, slatk_loss(P, N, 0.1, 0.3, 0.3))


@pytest.mark.parametrize("tau", ["0.1", None, [0.1], 0.1j])
@pytest.mark.parametrize("loss", [pairwise_softmax_loss, softmax_loss, bsl_loss, slatk_loss])
def test_what_is_no_number_is_refused_by_name(loss: Any, tau: Any) -> None:
    with pytest.raises(ValueError, match="tau must be a number, got"):
        loss(P, N, tau)
    with pytest.raises(ValueError, match="tau must be a number, got"):
        PairwiseSoftmaxLoss(tau)


@pytest.mark.parametrize("cls", [PairwiseSoftmaxLoss, SoftmaxLoss])
def test_the_logarithm_of_a_temperature_may_be_learned(cls: Any) -> None:
    """A step that would make a temperature negative makes its logarithm smaller."""
    n = torch.tensor([[0.1, -0.2, 0.3, 0.0]]).expand(3, 4)
    log_tau = torch.nn.Parameter(torch.tensor(math.log(0.2)))
    loss, plain = cls(log_tau=log_tau), cls(torch.tensor(0.2, requires_grad=True))
    assert loss.fused is None and "log_tau=-1.6" in repr(loss) and " tau=" not in repr(loss)
    assert [name for name, _ in loss.named_parameters()] == ["log_tau"]
    values = loss(P, n), plain(P, n)
    assert torch.allclose(*values)
    (got,) = torch.autograd.grad(values[0], log_tau)
    (slope,) = torch.autograd.grad(values[1], plain.tau)
    assert torch.allclose(got, 0.2 * slope)
    with torch.no_grad():
        log_tau -= 10
    assert torch.isfinite(loss(P, n))
