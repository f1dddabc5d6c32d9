"""The operators as one table: how each is called, and what it must give in plain torch.

The functions are called in the process of a test, or in one whose Triton interprets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.functional import embedding, normalize

from psl.kernels import dispatch
from psl.losses import BPRLoss, PairwiseSoftmaxLoss, bpr_loss, pairwise_softmax_loss
from psl.ops import catalogue_loss, fused_softmax, lookup, sampled_loss, sampled_scores, unit_rows


def missing(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is missing")


TORCH, NUMBA = "torch", pytest.param("numba", marks=missing("numba"))
TRITON = pytest.param("triton", marks=missing("triton"))
CUDA = pytest.param("cuda", marks=[pytest.mark.gpu, missing("triton")])
everywhere = pytest.mark.parametrize("impl", [TORCH, NUMBA, TRITON, CUDA])
kernels = pytest.mark.parametrize("impl", [NUMBA, TRITON, CUDA])
gpu = pytest.mark.parametrize("impl", [TRITON, CUDA])
paths = pytest.mark.parametrize("path", ["sampled", "dense", "catalogue"])
Call = Callable[..., Any]


class Shape(NamedTuple):
    batch: int
    count: int
    items: int
    dim: int


SMALL = Shape(7, 37, 53, 64)


def problem(shape: Shape, length: float = 1.0) -> list[Tensor]:
    """Users, items, positives, draws: ids repeated, a positive among the draws, d at -1 and 1."""
    batch, count, size, dim = shape
    g = torch.Generator().manual_seed(dim)
    users = normalize(torch.randn(batch, dim, generator=g), dim=1) / 2
    items = normalize(torch.randn(size, dim, generator=g), dim=1)
    items[0], items[1] = 2 * users[0], -1.98 * users[0]
    positive = torch.randint(size, (batch,), generator=g)
    negative = torch.randint(size, (batch, count), generator=g)
    positive[0], positive[1], negative[0, 0], negative[1, 0] = 0, 1, 1, 0
    negative[2, -1], negative[3, :2] = positive[2], 2
    return [users * length, items, positive, negative]


def softmax_inputs(path: str, shape: Shape = SMALL, length: float = 1.0) -> list[Any]:
    inputs: list[Any] = problem(shape, length)
    return [*inputs[:3], None] if path == "catalogue" else inputs


def _scores(u: Tensor, v: Tensor, ids: Tensor) -> Tensor:
    return (u @ v.T).gather(1, ids)


def _of_scores(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def exact(u: Tensor, v: Tensor, positive: Tensor, negative: Tensor | None, **how) -> Tensor:
        every = torch.arange(len(v), device=u.device).expand(len(u), -1)
        ids = torch.cat([positive[:, None], every if negative is None else negative], 1)
        scores = _scores(u, v, ids)
        return loss(scores[:, 0], scores[:, 1:], **how)

    return exact


def _sampled(u, v, positive, negative, tau, activation, reduction="mean", **how) -> Tensor:
    loss = PairwiseSoftmaxLoss(tau, activation)
    if negative is None:
        return catalogue_loss(u, v, positive, loss, reduction=reduction, **how)
    return sampled_loss(u, v, positive, negative, loss, reduction=reduction, **how)


# Name: (the operator, its oracle); both are differentiable in their floating inputs.
OPERATORS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "softmax": (_sampled, _of_scores(pairwise_softmax_loss)),
    "bpr": (
        lambda u, v, p, n, reduction="mean", **how: sampled_loss(
            u, v, p, n, BPRLoss(reduction="none"), reduction=reduction, **how
        ),
        _of_scores(bpr_loss),
    ),
    "scores": (sampled_scores, _scores),
    "unit_rows": (unit_rows, lambda x: normalize(x, dim=1)),
    "lookup": (lookup, embedding),
}


@contextmanager
def _implementation(name: str, path: str | None):
    """Serve from one implementation; ``path``: whether visits or dense products take a loss."""
    before = os.environ.get("PSL_KERNELS")
    os.environ["PSL_KERNELS"] = "off" if name == "torch" else "on"
    rule = fused_softmax.catalogue_is_cheaper
    fused_softmax.catalogue_is_cheaper = lambda *_, **__: path != "sampled"
    try:
        yield
    finally:
        del os.environ["PSL_KERNELS"]
        if before is not None:
            os.environ["PSL_KERNELS"] = before
        fused_softmax.catalogue_is_cheaper = rule


def results(function: Callable[..., Tensor], inputs: list[Any], **how: Any) -> list[Tensor]:
    """Return a value, and the gradients of its weighted sum in every floating input."""
    given = [
        x.detach().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x
        for x in inputs
    ]
    value = function(*given, **how)
    weight = torch.linspace(1, 2, value.numel(), dtype=value.dtype, device=value.device)
    wanted = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
    total = (value * weight.view(value.shape)).sum()
    return [value.detach(), *torch.autograd.grad(total, wanted)]


def call(name: str, path: str | None, operator: str, inputs: list[Any], **how: Any) -> list[Tensor]:
    """Return what an operator gives in an implementation, see :func:`results`."""
    with _implementation(name, path):
        if name == "cuda":
            inputs = [x.cuda() if isinstance(x, Tensor) else x for x in inputs]
        return [x.cpu() for x in results(OPERATORS[operator][0], inputs, **how)]


def exact(operator: str, inputs: list[Any], **how: Any) -> list[Tensor]:
    """Return what it must give, in float64."""
    wide = [x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
    return results(OPERATORS[operator][1], wide, **how)


def kernel(name: str, path: str | None, operator: str, *args: Any, **how: Any) -> Any:
    """Call a kernel by its name, and return its result; that of the softmax losses by its path."""
    if operator == "softmax":
        operator = "sampled_softmax" if path == "sampled" else "catalogue_softmax"
    with _implementation(name, path):
        if name == "cuda":
            args = tuple(x.cuda() if isinstance(x, Tensor) else x for x in args)
        found = dispatch.choose(operator, next(x for x in args if isinstance(x, Tensor)), "kernel")
        out = found(*args, **how)
        return tuple(x.cpu() for x in out) if isinstance(out, tuple) else out.cpu()
