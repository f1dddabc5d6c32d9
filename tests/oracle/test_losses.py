"""The losses of one formula against a plain loop of Python floats, in value and in gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from psl.losses import get_loss, pairwise_softmax_loss

SIGMA: dict[str, Callable[[float], float]] = {
    "sl": math.exp,
    "psl-tanh": lambda d: 1 + math.tanh(d),
    "psl-atan": lambda d: 1 + math.atan(d),
    "psl-relu": lambda d: max(1 + d, 0.0),
    "psl-softplus": lambda d: 1 + math.exp(d),
}
PLAIN = ("bpr", *SIGMA)  # test_baselines.py has the others


def loop(name: str, positive: list[float], negative: list[list[float]], tau: float) -> float:
    """Return the mean over rows, written from equations (2.3), (3.1), (4.1)."""
    total = 0.0
    for p, row in zip(positive, negative, strict=True):
        if name == "bpr":
            total += sum(math.log(1 + math.exp(n - p)) for n in row) / len(row)
        else:
            total += math.log(sum(SIGMA[name](n - p) ** (1 / tau) for n in row))
    return total / len(positive)


def scores(seed: int, b: int = 3, n: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return (
        torch.rand(b, generator=g, dtype=torch.float64) - 0.5,
        torch.rand(b, n, generator=g, dtype=torch.float64) - 0.5,
    )


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("tau", [0.05, 0.1, 0.4, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_value_and_gradient(name: str, tau: float, seed: int) -> None:
    positive, negative = scores(seed)
    p, n = positive.clone().requires_grad_(), negative.clone().requires_grad_()
    value = get_loss(name).build(tau)(p, n)
    value.backward()
    assert float(value.detach()) == pytest.approx(
        loop(name, positive.tolist(), negative.tolist(), tau), rel=1e-12, abs=1e-12
    )
    step = 1e-6
    for tensor, grad in ((positive, p.grad), (negative, n.grad)):
        assert grad is not None
        flat = tensor.view(-1)
        for k in range(flat.numel()):
            middle, ends = float(flat[k]), []
            for side in (step, -step):
                flat[k] = middle + side
                ends.append(loop(name, positive.tolist(), negative.tolist(), tau))
            flat[k] = middle
            central = (ends[0] - ends[1]) / (2 * step)
            assert float(grad.view(-1)[k]) == pytest.approx(central, rel=2e-6, abs=2e-8)


@pytest.mark.parametrize("name", PLAIN)
def test_gradcheck(name: str) -> None:
    p, n = (x.requires_grad_() for x in scores(2))
    loss = get_loss(name).build(0.2)
    assert torch.autograd.gradcheck(loss, (p, n))
    assert torch.autograd.gradgradcheck(loss, (p, n))


@pytest.mark.parametrize("activation", ["exp", "tanh", "atan", "relu", "softplus"])
@pytest.mark.parametrize("tau", [1.5, 3.0])
def test_inside_form(activation: str, tau: float) -> None:
    """Appendix C.3: ``sigma(d / tau)``; tau is large enough to stay in every domain."""
    positive, negative = scores(3)
    name = "sl" if activation == "exp" else f"psl-{activation}"
    expected = sum(
        math.log(sum(SIGMA[name]((n - p) / tau) for n in row))
        for p, row in zip(positive.tolist(), negative.tolist(), strict=True)
    ) / len(positive)
    got = pairwise_softmax_loss(positive, negative, tau, activation, form="inside")
    assert float(got) == pytest.approx(expected, rel=1e-12)
    # The two forms agree where raising to 1/tau is scaling the argument: for exp alone.
    outside = pairwise_softmax_loss(positive, negative, tau, activation)
    assert torch.allclose(got, outside, rtol=1e-12) is (activation == "exp")


def test_softmax_loss_is_the_cross_entropy_of_the_catalogue() -> None:
    """(2.4) is (3.1) when the positive is among the items it is compared with."""
    positive, negative = scores(4, b=6, n=9)
    logits = torch.cat([positive[:, None], negative], dim=1) / 0.1
    entropy = torch.nn.functional.cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
    everyone = torch.cat([positive[:, None], negative], dim=1)
    assert torch.allclose(get_loss("sl").build(0.1)(positive, everyone), entropy, rtol=1e-13)
