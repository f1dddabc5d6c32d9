"""A loss that is called wrongly says how to call it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from psl import RobustBPRLoss, losses, reference, robust_bpr_loss
from psl.activations import get_activation, softplus
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
    base,
    bpr_loss,
    bsl_loss,
    get_loss,
    pairwise_softmax_loss,
    player,
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


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8])
def test_a_mask_is_no_weight(dtype: torch.dtype) -> None:
    """True would be one nat more for an item, and False would leave it in."""
    what = "a bool mask" if dtype == torch.bool else "torch."
    with pytest.raises(ValueError, match=f"floating point, got {what}.*use 0 and -inf"):
        pairwise_softmax_loss(P, N, log_weight=torch.ones(4, dtype=dtype))


@pytest.mark.parametrize("kind", [np.float32, np.float64, int])
def test_a_number_of_numpy_is_a_number(kind: Any) -> None:
    tau = kind(1) if kind is int else kind(0.1)
    for loss in (
        PairwiseSoftmaxLoss(tau),
        SoftmaxLoss(tau),
        BSLLoss(tau, tau, as_released=True),
        BSLLoss(tau, as_released=True),
    ):
        assert loss.fused is not None
        assert type(loss.fused[0]) is float and loss.fused[0] == float(tau)


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


# --- compiled, as one graph ---------------------------------------------------------------------

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
    for road in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        value = road(*inputs)
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


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_a_temperature_in_a_tensor_changes_neither_shape_nor_dtype(shape: tuple[int, ...]) -> None:
    n = torch.linspace(-0.4, 0.4, 12).view(3, 4)
    tau = torch.full(shape, 0.1, dtype=torch.float64)
    for loss in (pairwise_softmax_loss, bsl_loss):
        value = loss(P, n, tau, reduction="none")
        assert value.shape == (3,) and value.dtype == torch.float32
        assert torch.allclose(value, loss(P, n, 0.1, reduction="none"))
    assert PairwiseSoftmaxLoss(np.array(0.1))(P, n).dtype == torch.float32


@pytest.mark.parametrize("name", LOSSES)
def test_a_printed_loss_shows_its_settings(name: str) -> None:
    loss = get_loss(name).build(0.125)
    loss.reduction = "sum"
    assert "reduction='sum'" in repr(loss)
    assert name in ("bpr", "llpauc") or "tau=0.125" in repr(loss)


@pytest.mark.parametrize("group", [torch.zeros(3, 1).long(), torch.zeros(2).long()])
def test_groups_are_one_a_row(group: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="group must have the shape"):
        bsl_loss(P, torch.zeros(3, 4), group=group)


def test_a_player_uses_its_gradients_up() -> None:
    """Two turns are two gradients and not their sum."""
    loss = LLPAUCLoss()
    g = torch.Generator().manual_seed(0)
    loss.start(5, 7, lr=0.1, weight_decay=0.0, generator=g)
    loss(P, torch.zeros(3, 4)).backward()
    loss.play()
    assert all(p.grad is None for p in loss.parameters())
    with torch.no_grad():
        loss.alone = torch.nn.Parameter(torch.ones(()))  # in no optimizer
    loss.alone.grad = torch.ones(())
    loss.play()
    assert loss.alone.grad is None


# --- float64 ------------------------------------------------------------------------------------


def test_bpr_has_all_its_digits_in_float64() -> None:
    """Above 20 torch's softplus leaves exp(-20) = 2e-9 out."""
    d = torch.tensor([[20.5, 21.0, 30.0]], dtype=torch.float64)
    p = torch.zeros(1, dtype=torch.float64)
    expected = math.fsum(x + math.log1p(math.exp(-x)) for x in d[0].tolist()) / 3
    assert float(bpr_loss(p, d)) == pytest.approx(expected, rel=1e-15)
    single = torch.nn.functional.softplus(d.float()).mean()
    assert torch.equal(bpr_loss(p.float(), d.float()), single), "as recorded runs took it"


def test_one_softplus_keeps_the_bits_of_losses_and_of_activations() -> None:
    """Torch's thresholds of 20 and 40 give one value in float32, and two gradients."""
    steps = torch.arange(0, 1 << 24, 97)  # every 97th number from 15 to 60
    x = (torch.tensor(15.0).view(torch.int32) + steps).int().view(torch.float32)
    x = torch.cat([x[x < 60], -x[x < 60], torch.linspace(-1, 1, 1001)]).requires_grad_()
    weight = torch.rand(len(x), generator=torch.Generator().manual_seed(0))

    def bits(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return value.detach(), torch.autograd.grad((value * weight).sum(), x)[0]

    at_20, at_40 = (bits(torch.nn.functional.softplus(x, 1, t)) for t in (20, 40))
    assert torch.equal(at_20[0], at_40[0]) and not torch.equal(at_20[1], at_40[1])
    for got, expected in ((softplus(x), at_20), (get_activation("softplus").log(x), at_40)):
        assert all(torch.equal(a, b) for a, b in zip(bits(got), expected, strict=True))


def test_llpauc_has_all_its_digits_in_float64() -> None:
    """Its hinge is softplus(5 x) / 5: x = 4.2 is enough."""
    loss = LLPAUCLoss(1.0, 1.0, 1.0).double()
    with torch.no_grad():
        loss.b.fill_(0), loss.s_neg.fill_(0), loss.s_pos.fill_(40), loss.gamma.fill_(1)
    p, n = (torch.full(shape, 50.0, dtype=torch.float64) for shape in ((1,), (1, 1)))
    # The score is 1 to the last digit: l- = 1 + 4, and the positives' hinge is 0.
    rest = math.log1p(math.exp(-25)) / 5
    assert float(loss(p, n).detach()) == pytest.approx(5 + rest - 40 - 1, rel=0, abs=1e-14)
    assert rest > 1e-12


def test_a_batch_is_grouped_by_its_users() -> None:
    p, n = torch.tensor([0.1, -0.3, 0.4]), torch.zeros(3, 2)
    batch = Batch(torch.tensor([1, 1, 0]), torch.tensor([0, 1, 1]), torch.zeros(3, 2).long())
    assert torch.equal(BSLLoss(0.1, 0.2)(p, n, batch), bsl_loss(p, n, 0.1, 0.2, batch.users))
    loss = SLatKLoss(0.1)
    loss.start(2, 2, lr=0.1, weight_decay=0.0, generator=torch.Generator())
    loss.quantile.copy_(torch.tensor([0.2, -0.2]))
    quantile = torch.tensor([-0.2, -0.2, 0.2])
    assert torch.equal(loss(p, n, batch), slatk_loss(p, n, 0.1, quantile))


@pytest.mark.parametrize(("released", "std"), [(True, 1.0), (False, (2 / 464) ** 0.5)])
def test_the_first_tables_of_the_adversary(released: bool, std: float) -> None:
    """Standard normal as released; Xavier's, of 400 rows and 64 columns, as published."""
    loss = AdvInfoNCELoss(0.1, released)
    generator = torch.Generator().manual_seed(0)
    loss.start(400, 400, lr=0.1, weight_decay=0.0, generator=generator)
    for table in (loss.user, loss.item):
        assert float(table.detach().std()) == pytest.approx(std, rel=0.05)


def test_the_protocol_of_a_player_has_a_room_of_its_own() -> None:
    for name in ("Batch", "Embed", "Player", "Turn"):
        assert getattr(losses, name) is getattr(player, name)
        assert name in losses.__all__ and not hasattr(base, name)
