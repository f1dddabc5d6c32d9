"""A loss that is called wrongly says how to call it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from psl import RobustBPRLoss, reference, robust_bpr_loss
from psl.errors import UnknownNameError
from psl.losses import (
    LOSSES,
    AdvInfoNCELoss,
    Batch,
    BPRLoss,
    BSLLoss,
    LLPAUCLoss,
    PairwiseSoftmaxLoss,
    SLatKLoss,
    SoftmaxLoss,
    adv_infonce_loss,
    bpr_loss,
    bsl_loss,
    get_loss,
    pairwise_softmax_loss,
    slatk_loss,
    softmax_loss,
)

P, N = torch.zeros(3), torch.zeros(3, 4)
FUNCTIONS = (
    adv_infonce_loss,
    bpr_loss,
    bsl_loss,
    pairwise_softmax_loss,
    robust_bpr_loss,
    slatk_loss,
    softmax_loss,
)
MODULES = (
    AdvInfoNCELoss,
    BPRLoss,
    BSLLoss,
    LLPAUCLoss,
    PairwiseSoftmaxLoss,
    RobustBPRLoss,
    SLatKLoss,
    SoftmaxLoss,
)


@pytest.mark.parametrize(
    ("positive", "negative"),
    [(P[:, None], N), (P, N[0]), (P, N[:2]), (P, N[:, :0]), (P[0], N)],
)
def test_shapes(positive: torch.Tensor, negative: torch.Tensor) -> None:
    for loss in (*FUNCTIONS, LLPAUCLoss()):
        with pytest.raises(ValueError, match=r"\(B, N\)|N = 0"):
            loss(positive, negative)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("place", [0, 1])
def test_scores_are_floating_point(dtype: torch.dtype, place: int) -> None:
    scores = [P, N]
    scores[place] = scores[place].to(dtype)
    for loss in (*FUNCTIONS, LLPAUCLoss()):
        with pytest.raises(ValueError, match="scores must be floating point, got torch"):
            loss(*scores)


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


@pytest.mark.parametrize(
    ("cls", "arguments", "words"),
    [
        (PairwiseSoftmaxLoss, {"tau": 0.0}, "tau must be positive"),
        (PairwiseSoftmaxLoss, {"form": "x"}, "form must be"),
        (PairwiseSoftmaxLoss, {"correction": "x"}, "correction must be"),
        (SoftmaxLoss, {"correction": "x"}, "correction must be"),
        (BSLLoss, {"tau": -1.0}, "tau must be positive"),
        (BSLLoss, {"tau2": 0.0}, "tau2 must be positive"),
        (SLatKLoss, {"tau": -1.0}, "tau must be positive"),
        (SLatKLoss, {"tau_weight": float("nan")}, "tau_weight must be positive"),
        (SLatKLoss, {"refresh": 0}, "refresh must be at least 1"),
        (SLatKLoss, {"k": 0}, "k must be at least 1"),
        (AdvInfoNCELoss, {"tau": -1.0}, "tau must be positive"),
        (AdvInfoNCELoss, {"adversary_lr": 0.0}, "adversary_lr must be positive"),
        (AdvInfoNCELoss, {"interval": 0}, "interval must be at least 1"),
        (AdvInfoNCELoss, {"limit": -1}, "limit must be at least 0"),
        (AdvInfoNCELoss, {"dim": 0}, "dim must be at least 1"),
        (LLPAUCLoss, {"player_lr": 0.0}, "player_lr must be positive"),
        (LLPAUCLoss, {"alpha": 2.0}, "alpha must lie"),
        (RobustBPRLoss, {"eta": float("inf")}, "eta must be positive and finite"),
        *((cls, {"reduction": "avg"}, "reduction must be") for cls in MODULES),
    ],
)
def test_a_module_refuses_when_it_is_made(cls: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cls(**arguments)


def test_a_module_knows_its_activations_when_it_is_made() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tanh'"):
        PairwiseSoftmaxLoss(0.1, "tan")


@pytest.mark.parametrize("cls", [SLatKLoss, AdvInfoNCELoss])
def test_a_loss_with_state_says_what_must_come_first(cls: Any) -> None:
    loss, ids = cls(0.1), torch.zeros(3, dtype=torch.int64)
    batch = Batch(ids, ids, torch.zeros(3, 4, dtype=torch.int64))
    with pytest.raises(RuntimeError, match=r"call start\(\.\.\.\) first"):
        loss(P, N, batch)
    loss(P, N)  # without ids it needs no state
    loss.start(3, 5, lr=0.1, weight_decay=0.0, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(loss(P, N, batch))


def test_a_quantile_cannot_be_taken_before_there_is_one() -> None:
    with pytest.raises(RuntimeError, match=r"call start\(\.\.\.\) first"):
        SLatKLoss(refresh=1).look(2, lambda: lambda users: (N, N))


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


@pytest.mark.parametrize("weight", [torch.zeros(1), torch.zeros(4), torch.zeros(3, 1)])
def test_a_weight_of_any_shape_counts_the_items(weight: torch.Tensor) -> None:
    plain = pairwise_softmax_loss(P, N, correction="mean")
    assert float(plain) == 0
    got = pairwise_softmax_loss(P, N, correction="mean", log_weight=weight)
    assert float(got) == pytest.approx(0, abs=1e-6)


def test_two_items_removed_are_two_items_less() -> None:
    weight = torch.tensor([0.0, 0.0, -float("inf"), -float("inf")])
    n = torch.tensor([[0.1, -0.2, 0.4, 0.4]]).expand(3, 4)
    for activation in ("exp", "relu"):
        two = pairwise_softmax_loss(P, n[:, :2], 0.1, activation, correction="mean")
        four = pairwise_softmax_loss(
            P, n, 0.1, activation, correction="mean", log_weight=weight, reduction="none"
        )
        assert four.tolist() == pytest.approx([float(two)] * 3, rel=1e-6)


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
