"""A loss under torch.compile is one graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from loss_cases import P
from psl import robust_bpr_loss
from psl.losses import (
    PairwiseSoftmaxLoss,
    adv_infonce_loss,
    bsl_loss,
    pairwise_softmax_loss,
    softmax_loss,
)

COMPILED = {
    "learned": lambda p, n, t: pairwise_softmax_loss(p, n, t, "tanh"),
    "weighted": lambda p, n, t: softmax_loss(
        p, n, t, correction="mean", log_weight=torch.zeros(20)
    ),
    "robust": lambda p, n, t: t * robust_bpr_loss(p, n, 0.4),
}


@pytest.mark.parametrize("name", COMPILED)
def test_a_loss_compiles_to_one_graph(name: str) -> None:
    """Nothing is read on the host on the way."""
    g = torch.Generator().manual_seed(0)
    scores = torch.rand(8, generator=g) - 0.5, torch.rand(8, 20, generator=g) - 0.5
    inputs = [x.requires_grad_() for x in (*scores, torch.tensor(0.2))]
    results = []
    loss = COMPILED[name]
    for path in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        value = path(*inputs)
        results.append((value, *torch.autograd.grad(value, inputs)))
    for eager, compiled in zip(*results, strict=True):
        assert torch.allclose(eager, compiled, rtol=1e-6)


def test_a_module_with_a_learned_temperature_compiles_to_one_graph() -> None:
    loss = PairwiseSoftmaxLoss(torch.nn.Parameter(torch.tensor(0.2)))
    n = torch.linspace(-0.4, 0.4, 12).view(3, 4)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(P, n), loss(P, n))


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize(
    "loss", [pairwise_softmax_loss, softmax_loss, bsl_loss, adv_infonce_loss, robust_bpr_loss]
)
def test_a_temperature_that_changes_stays_one_graph(loss: Any, dynamic: bool | None) -> None:
    """After one change torch.compile takes the number for a symbol, which cannot be asked much."""
    n = torch.linspace(-0.4, 0.4, 12).view(3, 4)
    torch.compiler.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for tau in (0.1, 0.2, 0.3):
        assert torch.allclose(compiled(P, n, tau), loss(P, n, tau))
