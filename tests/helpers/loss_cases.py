"""Scores of a few observed items and of sampled ones beside each; a loss against a loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

# Those that the paper or the follow-up prints results for, with hyperparameters.
PRINTED = ("bpr", "llpauc", "sl", "advinfonce", "bsl", "sl@20")
PRINTED += tuple(f"psl-{name}" for name in ("tanh", "atan", "relu", "softplus"))
MODELS = ("mf", "lightgcn", "xsimgcl")  # the backbones of these results
P = torch.zeros(3)
N = torch.zeros(3, 4)


def scores(seed: int = 0, b: int = 4, n: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return (
        torch.rand(b, generator=g, dtype=torch.float64) - 0.5,
        torch.rand(b, n, generator=g, dtype=torch.float64) - 0.5,
    )


def slopes(
    value: Callable[..., float], positive: list[float], negative: list[list[float]]
) -> list[float]:
    """Central differences of ``value(positive, negative)`` in every score."""
    out, step = [], 1e-6
    for row in [positive, *negative]:
        for k in range(len(row)):
            middle, ends = row[k], []
            for side in (step, -step):
                row[k] = middle + side
                ends.append(value(positive, negative))
            row[k] = middle
            out.append((ends[0] - ends[1]) / (2 * step))
    return out


def assert_same(got: Tensor, p: Tensor, n: Tensor, loop: Callable[..., float]) -> None:
    """Compare value and gradient with those of the loop."""
    got.backward()
    lists = p.detach().tolist(), n.detach().tolist()
    assert float(got.detach()) == pytest.approx(loop(*lists), rel=1e-12, abs=1e-12)
    assert p.grad is not None and n.grad is not None
    grad = torch.cat([p.grad, n.grad.flatten()]).tolist()
    assert grad == pytest.approx(slopes(loop, *lists), rel=3e-6, abs=1e-7)
