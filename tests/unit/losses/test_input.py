"""A loss that is called wrongly says how to call it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from companion import reference
from loss_cases import N, P
from psl import RobustBPRLoss, robust_bpr_loss, sampled_loss
from psl.errors import UnknownNameError
from psl.losses import (
    LOSSES,
    AdvInfoNCELoss,
    BPRLoss,
    BSLLoss,
    CCLLoss,
    DrRLLoss,
    GBCELoss,
    GuidedRecLoss,
    LambdaLoss,
    LLPAUCLoss,
    PairwiseSoftmaxLoss,
    SimCELoss,
    SLatKLoss,
    SoftmaxLoss,
    SogCLRLoss,
    SogSLatKLoss,
    TalosLoss,
    adv_infonce_loss,
    bpr_loss,
    bsl_loss,
    ccl_loss,
    drrl_loss,
    gbce_loss,
    get_loss,
    pairwise_softmax_loss,
    simce_loss,
    slatk_loss,
    softmax_loss,
    talos_loss,
)

FUNCTIONS = (
    adv_infonce_loss,
    bpr_loss,
    bsl_loss,
    ccl_loss,
    drrl_loss,
    gbce_loss,
    pairwise_softmax_loss,
    robust_bpr_loss,
    simce_loss,
    slatk_loss,
    softmax_loss,
    talos_loss,
)
MODULES = (
    AdvInfoNCELoss,
    BPRLoss,
    BSLLoss,
    CCLLoss,
    DrRLLoss,
    GBCELoss,
    GuidedRecLoss,
    LambdaLoss,
    LLPAUCLoss,
    PairwiseSoftmaxLoss,
    RobustBPRLoss,
    SimCELoss,
    SLatKLoss,
    SoftmaxLoss,
    SogCLRLoss,
    SogSLatKLoss,
    TalosLoss,
)
CALLED = (*FUNCTIONS, LLPAUCLoss(), LambdaLoss(), SogCLRLoss(), SogSLatKLoss(), GuidedRecLoss())


@pytest.mark.parametrize(
    ("positive", "negative"),
    [(P[:, None], N), (P, N[0]), (P, N[:2]), (P, N[:, :0]), (P[0], N)],
)
def test_shapes(positive: torch.Tensor, negative: torch.Tensor) -> None:
    for loss in CALLED:
        with pytest.raises(ValueError, match=r"\(B, N\)|N = 0"):
            loss(positive, negative)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("place", [0, 1])
def test_scores_are_floating_point(dtype: torch.dtype, place: int) -> None:
    scores = [P, N]
    scores[place] = scores[place].to(dtype)
    for loss in CALLED:
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
        (LLPAUCLoss, {"scalar_lr": 0.0}, "scalar_lr must be positive"),
        (LLPAUCLoss, {"alpha": 2.0}, "alpha must lie"),
        (SogCLRLoss, {"gamma": 0.0}, r"gamma must lie in \(0, 1\]"),
        (SogSLatKLoss, {"gamma": 1.5}, r"gamma must lie in \(0, 1\]"),
        (SogCLRLoss, {"tau": -1.0}, "tau must be positive"),
        (TalosLoss, {"tau": 0.0}, "tau must be positive"),
        (TalosLoss, {"k": 0}, "k must be at least 1"),
        (TalosLoss, {"quantile_lr": 0.0}, "quantile_lr must be positive"),
        (CCLLoss, {"negative_weight": 0.0}, "negative_weight must be positive"),
        (DrRLLoss, {"negative_weight": -1.0}, "negative_weight must be positive"),
        (DrRLLoss, {"order": 1.0}, "order must be above 1"),
        (DrRLLoss, {"order": float("nan")}, "order must be above 1"),
        (DrRLLoss, {"margin_lr": 0.0}, "margin_lr must be positive"),
        (GBCELoss, {"calibration": -0.1}, r"calibration must lie in \[0, 1\]"),
        (LambdaLoss, {"rule": "rank"}, "rule must be one of"),
        (LambdaLoss, {"k": 0}, "k must be at least 1"),
        (GuidedRecLoss, {"surrogate_lr": -1.0}, "surrogate_lr must be positive"),
        (RobustBPRLoss, {"eta": float("inf")}, "eta must be positive and finite"),
        *((cls, {"reduction": "avg"}, "reduction must be") for cls in MODULES),
    ],
)
def test_a_module_refuses_when_it_is_made(cls: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cls(**arguments)


def test_llpauc_has_no_temperature() -> None:
    loss = LLPAUCLoss(0.6, 0.02)
    assert (loss.alpha, loss.beta) == (0.6, 0.02)


def test_a_module_knows_its_activations_when_it_is_made() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tanh'"):
        PairwiseSoftmaxLoss(0.1, "tan")


@pytest.mark.parametrize("weight", [torch.zeros(1), torch.zeros(4), torch.zeros(3, 1)])
def test_a_weight_of_any_shape_counts_the_items(weight: torch.Tensor) -> None:
    plain = pairwise_softmax_loss(P, N, correction="mean")
    assert float(plain) == 0
    got = pairwise_softmax_loss(P, N, correction="mean", log_weight=weight)
    assert float(got) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 3, 4), (2, 3, 4), (5, 1), (3,), (3, 5)])
def test_a_weight_makes_no_more_terms_than_there_are(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"log_weight must broadcast to negative, \(3, 4\)"):
        pairwise_softmax_loss(P, N, log_weight=torch.zeros(shape))
    with pytest.raises(ValueError, match="log_weight must broadcast"):
        # One row of scores: the weight's rows are not the loss's.
        pairwise_softmax_loss(P[:1], N[:1], log_weight=torch.zeros(3, 4))


@pytest.mark.parametrize("correction", ["sum", "mean"])
def test_a_weight_does_not_change_the_dtype(correction: Any) -> None:
    weight = torch.linspace(-1, 1, 4, dtype=torch.float64)
    got = pairwise_softmax_loss(P, N, log_weight=weight, correction=correction)
    expected = pairwise_softmax_loss(P, N, log_weight=weight.float(), correction=correction)
    assert got.dtype == torch.float32 and torch.equal(got, expected)


@pytest.mark.parametrize("shape", [(3, 1), (1,), (2,), (1, 3)])
def test_a_quantile_is_one_number_or_one_a_row(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"one a row \(3,\), got"):
        slatk_loss(P, N, quantile=torch.zeros(shape))
    one = slatk_loss(P, N, quantile=0.2, reduction="none")
    for quantile in (torch.tensor(0.2), torch.full((3,), 0.2)):
        assert torch.equal(slatk_loss(P, N, quantile=quantile, reduction="none"), one)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8])
def test_a_mask_is_no_weight(dtype: torch.dtype) -> None:
    """True would be one nat more for an item, and False would leave it in."""
    what = "a bool mask" if dtype == torch.bool else "torch."
    with pytest.raises(ValueError, match=f"floating point, got {what}.*use 0 and -inf"):
        pairwise_softmax_loss(P, N, log_weight=torch.ones(4, dtype=dtype))


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
    assert set(LOSSES) >= paper | {"psl-softplus", "sl@20"}
    with pytest.raises(UnknownNameError, match="did you mean 'psl-relu'"):
        get_loss("psl-rely")
    assert (LOSSES["bpr"].score, LOSSES["bpr"].negatives) == ("inner", 1)


def test_the_module_names_its_settings() -> None:
    assert "tau=0.2, activation='atan', form='outside'" in repr(PairwiseSoftmaxLoss(0.2, "atan"))


@pytest.mark.parametrize("name", LOSSES)
def test_a_printed_loss_shows_its_settings(name: str) -> None:
    loss = get_loss(name).build(0.125)
    loss.reduction = "sum"
    assert "reduction='sum'" in repr(loss)
    assert not hasattr(loss, "tau") or "tau=0.125" in repr(loss)


@pytest.mark.parametrize("activation", ["relu", "exp"])
def test_scores_on_another_scale_are_warned_of_where_that_is_asked(activation: str) -> None:
    """Cosines that were not halved: the loss is -157 and its gradient 0."""
    loss, ids = PairwiseSoftmaxLoss(0.1, activation), torch.zeros(1, dtype=torch.int64)
    u, v = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.9, 0.1], [-0.5, 0.5]])
    calls = (
        lambda: loss(torch.tensor([0.9]), torch.tensor([[-0.5]])),
        lambda: loss(torch.tensor([0.4]), torch.tensor([[-0.9]])),
        lambda: sampled_loss(u, v, ids, ids[:, None] + 1, loss),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [call() for call in calls]
        loss.check_range = True
        loss(torch.tensor([0.5]), torch.tensor([[-0.5]]))
        sampled_loss(u / 2, v, ids, ids[:, None] + 1, loss)
        torch.compile(loss, backend="aot_eager", fullgraph=True)(P + 1, N)
    for call in calls:
        with pytest.warns(UserWarning, match="half_cosine"):
            call()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            calls[0]()
    assert len(said) <= 1
