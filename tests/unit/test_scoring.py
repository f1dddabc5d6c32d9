"""Every road of ``sampled_loss`` against a gather and autograd, for every loss of the registry."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from psl.evaluation import evaluate
from psl.fast import cpu_kernels
from psl.interactions import synthetic
from psl.losses import (
    LOSSES,
    Batch,
    BSLLoss,
    PairwiseSoftmaxLoss,
    Player,
    SoftmaxLoss,
    get_loss,
    pairwise_softmax_loss,
)
from psl.scoring import (
    catalogue_loss,
    half_cosine,
    sampled_loss,
    sampled_scores,
    unit_rows,
)
from psl.scoring import rows as plain_road

# 64 columns and more a score: the gather is taken when N * 64 < I.
PRODUCT, GATHER = (37, 13), (800, 3)
needs_kernels = pytest.mark.skipif(cpu_kernels(torch.zeros(1)) is None, reason="numba is missing")
KERNELS = ["off", pytest.param("on", marks=needs_kernels)]
HALF = [torch.bfloat16, torch.float16]


def problem(items: int, count: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    g = torch.Generator().manual_seed(items)
    batch, dim = 11, 6
    users = torch.randn(batch, dim, generator=g).to(dtype) * 0.2
    table = torch.randn(items, dim, generator=g).to(dtype) * 0.2
    positive = torch.randint(items, (batch,), generator=g)
    negative = torch.randint(items, (batch, count), generator=g)
    # The same item twice in a row, and the positive among them: gradients must add up.
    negative[0, 1], negative[1, 0], positive[3] = negative[0, 0], positive[1], positive[2]
    return [users, table, positive, negative]


def loss_by_name(name: str, batch: Batch | None = None):
    """Build a loss with state, so that nothing it holds is missing."""
    loss = get_loss(name).build(0.2)
    loss.reduction = "none"
    if not isinstance(loss, Player):
        return loss
    loss.start(12, 800, lr=0.1, weight_decay=0.0, generator=torch.Generator().manual_seed(1))
    return lambda p, n: loss.to(p.dtype)(p, n, batch)


def reference(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, loss) -> Tensor:
    score = (users[:, None, :] * items[torch.cat([positive[:, None], negative], 1)]).sum(-1)
    return loss(score[:, 0], score[:, 1:]).mean()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("rows", [1, 4, 64])
def test_value_and_gradients(name: str, size: tuple[int, int], rows: int) -> None:
    users, items, positive, negative = problem(*size)
    loss = loss_by_name(name, Batch(torch.arange(11) // 2, positive, negative))
    results = []
    for route in (reference, lambda *a: sampled_loss(*a, rows=rows)):
        u, v = users.clone().requires_grad_(), items.clone().requires_grad_()
        value = route(u, v, positive, negative, loss)
        # A factor on the loss must reach the gradients.
        results.append((value, *torch.autograd.grad(3 * value, (u, v))))
    for expected, got in zip(*results, strict=True):
        assert torch.allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("kernels", KERNELS)
def test_single_precision(
    name: str, size: tuple[int, int], kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_KERNELS", kernels)
    users, items, positive, negative = problem(*size, dtype=torch.float32)
    loss = loss_by_name(name, Batch(torch.arange(11) // 2, positive, negative))
    results = []
    for route, dtype in ((reference, torch.float64), (sampled_loss, torch.float32)):
        u, v = (x.detach().to(dtype).requires_grad_() for x in (users, items))
        value = route(u, v, positive, negative, loss)
        results.append((value, *torch.autograd.grad(3 * value, (u, v))))
    for expected, got in zip(*results, strict=True):
        scale = float(expected.detach().abs().max())
        assert torch.allclose(got.double(), expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_pass_gradcheck_in_what_they_return(dtype: torch.dtype) -> None:
    users, items, _, columns = problem(*PRODUCT, dtype=torch.float64)
    u, v = users.requires_grad_(), items.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sampled_scores(a, b, columns), (u, v))
    weight = torch.randn(columns.shape, generator=torch.Generator().manual_seed(3)).to(dtype)
    a, b = users.detach().to(dtype).requires_grad_(), items.detach().to(dtype).requires_grad_()
    (sampled_scores(a, b, columns) * weight).sum().backward()
    c, d = users.detach().requires_grad_(), items.detach().requires_grad_()
    ((c[:, None] * d[columns]).sum(-1) * weight.double()).sum().backward()
    for got, expected in ((a.grad, c.grad), (b.grad, d.grad)):
        assert torch.allclose(got.double(), expected, rtol=1e-4, atol=1e-5)


def test_parameters_of_the_loss_get_gradients() -> None:
    users, items, positive, negative = problem(*PRODUCT, dtype=torch.float32)
    loss = get_loss("llpauc").build(1.0, alpha=0.5, beta=0.1)
    sampled_loss(users, items, positive, negative, loss).backward()
    assert all(p.grad is not None and p.grad.abs() > 0 for p in loss.parameters())


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", ["psl-relu", "llpauc"])
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_id_outside_the_catalogue_is_an_error(
    name: str,
    size: tuple[int, int],
    dtype: torch.dtype,
    kernels: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In every road; -1 is not the last item."""
    monkeypatch.setenv("PSL_KERNELS", kernels)
    words = rf"not in 0 \.\. {size[0] - 1}"
    for wrong in (size[0], -1):
        for place in (2, 3):
            inputs = problem(*size, dtype=dtype)
            inputs[place].view(-1)[-1] = wrong
            with pytest.raises(IndexError, match=words):
                sampled_loss(*inputs, get_loss(name).build(0.2))
        users, items, positive, negative = problem(*size, dtype=dtype)
        positive[-1] = wrong
        with pytest.raises(IndexError, match=words):
            catalogue_loss(users, items, positive, PairwiseSoftmaxLoss(0.1))
        negative[3, 1] = wrong
        with pytest.raises(IndexError, match=words):
            sampled_scores(users, items, negative)


@needs_kernels
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_numbers_show(name: str, value: float) -> None:
    """Whichever embedding is broken, the loss is not finite: a diverging run must stop."""
    for table in (0, 1):
        inputs = problem(*PRODUCT, dtype=torch.float32)
        row = int(inputs[3][4, 5]) if table else 4
        inputs[table][row, 2] = value
        loss = loss_by_name(name, Batch(torch.arange(11), inputs[2], inputs[3]))
        # A sigmoid of infinity is a number: LLPAUC and BPR may well survive one.
        survives = value == float("inf") and name in ("llpauc", "bpr")
        assert survives or not torch.isfinite(sampled_loss(*inputs, loss))


def test_nothing_is_kept_when_nothing_is_asked_for() -> None:
    loss = get_loss("sl").build(0.1)
    for size in (PRODUCT, GATHER):
        for dtype in (torch.float32, torch.float64):
            assert not sampled_loss(*problem(*size, dtype=dtype), loss).requires_grad


def test_the_plain_road_gathers_no_more_than_the_catalogue_has_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five columns of 200 numbers are more than 800 scores, two are fewer."""
    monkeypatch.setenv("PSL_KERNELS", "off")
    gathered, whole = [], plain_road.embedding
    monkeypatch.setattr(
        plain_road, "embedding", lambda c, i: gathered.append(c.numel()) or whole(c, i)
    )
    g = torch.Generator().manual_seed(0)
    users, items = torch.randn(8, 200, generator=g), torch.randn(800, 200, generator=g)
    for count, expected in ((5, []), (2, [6] * 4)):
        gathered.clear()
        columns = torch.randint(800, (8, count + 1), generator=g)[:, 1:]
        u, v = users.clone().requires_grad_(), items.clone().requires_grad_()
        loss = get_loss("sl").build(0.1)
        sampled_loss(u, v, columns[:, 0], columns, loss, rows=2).backward()
        assert sorted(set(gathered)) == sorted(set(expected))


# --- a loss is fused only where that is the same function ---------------------------------------


class Margin(PairwiseSoftmaxLoss):
    def forward(self, positive: Tensor, negative: Tensor, log_weight=None) -> Tensor:
        return super().forward(positive - 0.3, negative, log_weight)


class BilateralMargin(BSLLoss):
    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        return super().forward(positive - 0.3, negative, batch)


def on_the_object() -> PairwiseSoftmaxLoss:
    loss = PairwiseSoftmaxLoss(0.2)
    whole = loss.forward
    loss.forward = lambda p, n: whole(p - 0.3, n)  # type: ignore[method-assign]
    return loss


def hooked(kind: str) -> PairwiseSoftmaxLoss:
    loss = PairwiseSoftmaxLoss(0.2)
    if kind == "before":
        loss.register_forward_pre_hook(lambda _, scores: (scores[0] - 0.3, scores[1]))
    else:
        loss.register_forward_hook(lambda *_: 7 * _[2])
    return loss


@pytest.mark.parametrize(
    "loss",
    [
        Margin(0.2),
        BilateralMargin(0.2, 0.2, as_released=True),
        on_the_object(),
        hooked("before"),
        hooked("after"),
        PairwiseSoftmaxLoss(torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64))),
        SoftmaxLoss(torch.tensor(0.2, dtype=torch.float64)),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_the_module_does_is_what_is_taken(loss, dtype: torch.dtype) -> None:
    inputs = problem(*PRODUCT, dtype=dtype)
    assert loss.fused is None
    expected = reference(*inputs, loss)
    assert torch.allclose(sampled_loss(*inputs, loss), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="no form against the whole catalogue"):
        catalogue_loss(*inputs[:3], loss)


def test_the_losses_as_they_are_stay_fused() -> None:
    class Renamed(SoftmaxLoss):
        """It changes nothing."""

    for loss in (PairwiseSoftmaxLoss(0.2), SoftmaxLoss(1), Renamed(0.2)):
        assert loss.fused is not None
        loss.reduction = "none"
        assert loss.fused is not None
    assert BSLLoss(0.1, 0.2, as_released=True).fused == (0.2, "exp", 2.0)
    for settings in ({"form": "inside"}, {"correction": "mean"}, {"reduction": "sum"}):
        assert PairwiseSoftmaxLoss(0.2, **settings).fused is None


def test_a_learned_temperature_gets_its_gradient() -> None:
    inputs = problem(*PRODUCT)
    tau = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    loss = PairwiseSoftmaxLoss(tau, "tanh")
    sampled_loss(*inputs, loss).backward()
    ends = [
        float(sampled_loss(*inputs, PairwiseSoftmaxLoss(0.3 + s, "tanh"))) for s in (1e-5, -1e-5)
    ]
    assert tau.grad is not None
    assert float(tau.grad) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_over_the_batch_is_returned_or_nothing(name: str) -> None:
    inputs, loss = problem(*PRODUCT), get_loss(name).build(0.2)
    loss.to(torch.float64)
    loss.reduction = "mean"
    mean = sampled_loss(*inputs, loss)
    loss.reduction = "none"
    assert torch.allclose(sampled_loss(*inputs, loss), mean, rtol=1e-12)
    for reduction in ("sum", "avg"):
        loss.reduction = reduction
        for call in (loss, partial(loss), partial(loss, batch=None)):
            with pytest.raises(ValueError, match=f"'mean' or 'none' here, got '{reduction}'"):
                sampled_loss(*inputs, call)
        with pytest.raises(ValueError, match=f"'mean' or 'none' here, got '{reduction}'"):
            catalogue_loss(*inputs[:3], loss)
    given = partial(pairwise_softmax_loss, reduction="sum")
    with pytest.raises(ValueError, match="got 'sum'"):
        sampled_loss(*inputs, given)
    assert torch.isfinite(sampled_loss(*inputs, partial(given, reduction="none")))


# --- half precision -----------------------------------------------------------------------------


def results(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> list[Tensor]:
    """Every road into the operators, with its gradients."""
    out, loss = [], get_loss("psl-relu").build(0.05)
    u, v = users.detach().clone().requires_grad_(), items.detach().clone().requires_grad_()
    for value in (
        sampled_loss(u, v, positive, negative, loss),
        sampled_loss(u, v, positive, negative, get_loss("bpr").build(0.1)),
        catalogue_loss(u, v, positive, loss),
        sampled_scores(u, v, negative),
        *half_cosine(u, v),
    ):
        weight = torch.linspace(1, 2, value.numel(), dtype=value.dtype).view(value.shape)
        gradients = torch.autograd.grad((value * weight).sum(), (u, v), allow_unused=True)
        out += [value, *(g for g in gradients if g is not None)]
    return out


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_changes_nothing(
    size: tuple[int, int], dtype: torch.dtype, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temperature divides the scores: three digits do not do, and no road loses any."""
    monkeypatch.setenv("PSL_KERNELS", kernels)
    inputs = problem(*size, dtype=dtype)
    plain = results(*inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.is_autocast_enabled("cpu")
        cast = results(*inputs)
    for one, two in zip(plain, cast, strict=True):
        assert one.dtype == two.dtype == dtype and torch.equal(one, two)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("dtype", HALF)
def test_embeddings_in_half_precision_lose_their_own_digits_alone(
    size: tuple[int, int], dtype: torch.dtype, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_KERNELS", kernels)
    users, items, *ids = problem(*size, dtype=dtype)
    half, full = results(users, items, *ids), results(users.float(), items.float(), *ids)
    for one, two in zip(half, full, strict=True):
        gradient = one.shape in (users.shape, items.shape) and one.grad_fn is None
        assert one.dtype == (dtype if gradient else torch.float32)
        assert torch.equal(one, two.to(one.dtype))


def test_tables_of_two_dtypes_meet_in_the_wider() -> None:
    users, items, positive, negative = problem(*PRODUCT)
    loss = get_loss("sl").build(0.1)
    expected = sampled_loss(users.float(), items.bfloat16().float(), positive, negative, loss)
    mixed = sampled_loss(users.float(), items.bfloat16(), positive, negative, loss)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, expected)
    assert sampled_scores(users, items.float(), negative).dtype == torch.float64


# --- from embeddings to a trained model ---------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_half_cosine_is_half_the_cosine(dtype: torch.dtype) -> None:
    users, items, *_ = problem(*PRODUCT, dtype=dtype)
    u, v = half_cosine(3 * users, 0.2 * items)
    cosine = torch.nn.functional.cosine_similarity(users[:, None], items[None], dim=-1)
    assert torch.allclose(u @ v.T, cosine / 2, atol=1e-6)
    assert torch.allclose(unit_rows(items), v) and float((u @ v.T).abs().max()) <= 0.5 + 1e-6


@pytest.mark.parametrize("loss", [SoftmaxLoss(0.1), PairwiseSoftmaxLoss(0.1)], ids=str)
def test_ten_lines_train_a_model(loss) -> None:
    """What README shows: embeddings, scale, negatives, loss, Adam."""
    import psl

    train, test = disjoint(*synthetic(np.random.default_rng(0), 150, 120, 30, 15))
    g = torch.Generator().manual_seed(0)
    user, item = (torch.nn.Parameter(torch.randn(n, 8, generator=g) * 0.1) for n in (150, 120))
    sampler, adam = psl.UniformNegatives(train), torch.optim.Adam([user, item], lr=0.03)
    users, positive = torch.from_numpy(train.users), torch.from_numpy(train.items)

    def ndcg() -> float:
        u, v = (x.detach() for x in psl.half_cosine(user, item))
        return evaluate(lambda ids: (u[ids], v), test, train, cutoffs=(20,))["ndcg@20"]

    before = ndcg()
    for step in range(60):
        u, v = psl.half_cosine(user[users], item)
        value = psl.sampled_loss(u, v, positive, sampler.sample(users, 50, key=step), loss)
        adam.zero_grad()
        value.backward()
        adam.step()
    assert ndcg() > 2 * before


def disjoint(seen, liked):
    """Train on what was seen, test on what is liked beyond it."""
    return seen, liked.difference(seen)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": (4, 5)}, r"users \(B, d\) and items \(I, d\), got \(4, 5\) and \(9, 6\)"),
        ({"users": (6,)}, "expected users"),
        ({"positive": (3,)}, r"ids for 4 rows, got \(3,\)"),
        ({"negative": (5, 2)}, r"ids for 4 rows, got \(5, 2\)"),
        ({"positive": (4, 1)}, r"expected \(B,\) item ids for 4 rows, got \(4, 1\)"),
        ({"negative": (4,)}, r"expected \(B, N\) item ids for 4 rows, got \(4,\)"),
        ({"negative": (4, 2, 1)}, r"expected \(B, N\) item ids for 4 rows, got \(4, 2, 1\)"),
        ({"dtype": torch.int32}, "must be int64, got torch.int32"),
    ],
)
@pytest.mark.parametrize("name", ["psl-relu", "bpr"])
def test_what_does_not_fit_is_refused_before_a_kernel_reads_it(
    name: str, change: dict[str, Any], words: str
) -> None:
    shapes = {"users": (4, 6), "items": (9, 6), "positive": (4,), "negative": (4, 2)} | change
    kind = shapes.pop("dtype", torch.int64)
    tables_ = [torch.zeros(*shapes[k]) for k in ("users", "items")]
    ids = [torch.zeros(*shapes[k], dtype=kind) for k in ("positive", "negative")]
    with pytest.raises(ValueError, match=words):
        sampled_loss(*tables_, *ids, get_loss(name).build(0.1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [0, -1])
def test_at_least_one_row_is_taken_at_once(rows: int, dtype: torch.dtype) -> None:
    """With -1 the plain road would take none, and return what memory held."""
    users, items, positive, negative = problem(*PRODUCT, dtype=dtype)
    loss, words = get_loss("sl").build(0.1), "rows must be at least 1"
    with pytest.raises(ValueError, match=words):
        catalogue_loss(users, items, positive, loss, rows=rows)
    with pytest.raises(ValueError, match=words):
        sampled_loss(users, items, positive, negative, loss, rows=rows)
    with pytest.raises(ValueError, match=words):
        sampled_scores(users, items, negative, rows=rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(4,), (2, 3, 4)])
def test_unit_rows_are_rows_of_a_matrix(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=r"expected rows \(M, d\), got \("):
        unit_rows(torch.ones(shape, dtype=dtype))
