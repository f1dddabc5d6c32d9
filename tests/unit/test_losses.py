"""A loss that is called wrongly says how to call it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from psl import reference
from psl.errors import UnknownNameError
from psl.losses import LOSSES, PairwiseSoftmaxLoss, bpr_loss, get_loss, pairwise_softmax_loss

P, N = torch.zeros(3), torch.zeros(3, 4)


@pytest.mark.parametrize(
    ("positive", "negative"),
    [(P[:, None], N), (P, N[0]), (P, N[:2]), (P, N[:, :0]), (P[0], N)],
)
def test_shapes(positive: torch.Tensor, negative: torch.Tensor) -> None:
    for loss in (pairwise_softmax_loss, bpr_loss):
        with pytest.raises(ValueError, match=r"\(B, N\)|N = 0"):
            loss(positive, negative)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tau": 0.0}, "tau must be positive"),
        ({"tau": -0.1}, "tau must be positive"),
        ({"tau": float("nan")}, "tau must be positive"),
        ({"tau": float("inf")}, "tau must be positive"),
        ({"form": "beside"}, "form must be"),
        ({"correction": "none"}, "correction must be"),
        ({"reduction": "max"}, "reduction must be"),
        ({"activation": "gelu"}, "unknown activation"),
    ],
)
def test_settings(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pairwise_softmax_loss(P, N, **arguments)


def test_a_module_refuses_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="tau"):
        PairwiseSoftmaxLoss(0.0)
    with pytest.raises(UnknownNameError, match="did you mean 'tanh'"):
        PairwiseSoftmaxLoss(0.1, "tan")


def test_registry() -> None:
    paper = set(reference.table("table1_iid")["loss"])
    assert set(LOSSES) == paper | {"psl-softplus", "sl@20"}
    with pytest.raises(UnknownNameError, match="did you mean 'psl-relu'"):
        get_loss("psl-rely")
    assert (LOSSES["bpr"].score, LOSSES["bpr"].negatives) == ("inner", 1)


def test_the_module_names_its_settings() -> None:
    assert "tau=0.2, activation='atan', form='outside'" in repr(PairwiseSoftmaxLoss(0.2, "atan"))


@pytest.mark.gpu
@pytest.mark.parametrize("name", LOSSES)
def test_a_gpu_gives_the_same(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    p, n = torch.rand(64, generator=g) - 0.5, torch.rand(64, 500, generator=g) - 0.5
    loss = get_loss(name).build(0.1)
    assert torch.allclose(loss(p.cuda(), n.cuda()).cpu(), loss(p, n), rtol=1e-5, atol=1e-5)
