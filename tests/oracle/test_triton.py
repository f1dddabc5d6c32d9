"""The GPU kernels against float64 torch: in Triton's interpreter everywhere, on a GPU if asked.

The interpreter runs a kernel on a CPU, and is chosen when Triton is imported: the kernels run in a
process of their own.  Whether a kernel compiles is asked in ``test_triton_compiles.py``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import embedding, normalize

from psl.activations import ACTIVATIONS
from psl.interactions import Interactions
from psl.losses import pairwise_softmax_loss
from psl.models.contrast import orthant_noise
from psl.models.graph import Graph
from psl.negatives import UniformNegatives
from psl.ops import sampled_scores
from psl.streams import stream_key

triton = pytest.importorskip("triton", reason="triton is missing (extra `cuda`)")
kernels = pytest.importorskip("psl.kernels.cuda")

Road = Callable[..., Any]
INTERPRET = {"TRITON_INTERPRET": "1", "PSL_TRITON_CPU": "1"}


def on_gpu(function: Callable[..., Any], *args: Any) -> Any:
    out = function(*(x.cuda() if isinstance(x, Tensor) else x for x in args))
    return tuple(x.cpu() for x in out) if isinstance(out, tuple) else out.cpu()


@pytest.fixture(scope="module", params=["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)])
def road(request: pytest.FixtureRequest) -> Iterator[Road]:
    """Call a function of the kernels with tensors on the CPU."""
    if request.param == "cuda":
        yield on_gpu
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in INTERPRET.items():
                patch.setenv(name, value)
            pool.submit(os.getpid).result()  # the process starts here, with these variables
        yield lambda function, *args: pool.submit(function, *args).result()


def tables(dim: int = 24, count: int = 37, items: int = 53, rows: int = 7) -> list[Tensor]:
    """Rows, items, draws: none a multiple of a block, ids repeated, a positive among negatives."""
    g = torch.Generator().manual_seed(dim)
    users = normalize(torch.randn(rows, dim, generator=g), dim=1) / 2
    table = normalize(torch.randn(items, dim, generator=g), dim=1)
    # Opposite and equal pairs: d comes close to -1 and 1, the ends of its range.
    table[0], table[1] = 2 * users[0], -1.98 * users[0]
    positive = torch.randint(items, (rows,), generator=g)
    negative = torch.randint(items, (rows, count), generator=g)
    positive[0], positive[1] = 0, 1
    if count > 2:
        negative[0, 0], negative[1, 0] = 1, 0
        negative[2, 1], negative[3, 1], negative[3, 2] = positive[2], negative[3, 0], negative[3, 0]
    return [users, table, positive, negative]


def exact(users, items, positive, negative, tau: float, activation: str):
    """Value of each row and gradients of the mean, by autograd in float64."""
    u, v = users.double().requires_grad_(), items.double().requires_grad_()
    scores = u @ v.T
    chosen = scores.gather(1, negative) if negative.shape[1] else scores
    rows = pairwise_softmax_loss(
        scores.gather(1, positive[:, None])[:, 0], chosen, tau, activation, reduction="none"
    )
    rows.mean().backward()
    return rows.detach(), u.grad, v.grad


def compare(got, expected, tau: float) -> None:
    # A rounding of 6e-8 in the score is 6e-8 / tau in a term: about 1e-5 at tau = .005.
    assert torch.allclose(got[0].double(), expected[0], rtol=2e-6, atol=2e-7 / tau)
    for one, other in zip(got[1:], expected[1:], strict=True):
        error = (one.double() - other).abs().max() / other.abs().max()
        assert error < 1e-5 if tau >= 0.025 else error < 5e-5


SOFTMAX = {
    "sampled": (kernels.pairwise_softmax, 37),
    "catalogue": (kernels.catalogue_softmax, 37),
    "full": (kernels.catalogue_softmax, 0),
}


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tau", [0.005, 0.1, 1.0])
def test_value_and_gradients(road: Road, name: str, activation: str, tau: float) -> None:
    kernel, count = SOFTMAX[name]
    inputs = tables(24 if activation == "relu" else 64, count)
    compare(road(kernel, *inputs, tau, activation), exact(*inputs, tau, activation), tau)


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("tau", [0.025, 0.25])
def test_an_odd_dimension(road: Road, name: str, tau: float) -> None:
    kernel, count = SOFTMAX[name]
    inputs = tables(21, count)
    compare(road(kernel, *inputs, tau, "atan"), exact(*inputs, tau, "atan"), tau)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_draws_of_several_blocks(road: Road, activation: str) -> None:
    inputs = tables(64, 301)
    got = road(kernels.pairwise_softmax, *inputs, 0.005, activation)
    compare(got, exact(*inputs, 0.005, activation), 0.005)


@pytest.mark.parametrize("name", ["catalogue", "full"])
def test_a_catalogue_of_several_blocks(road: Road, name: str) -> None:
    kernel, count = SOFTMAX[name]
    inputs = tables(24, count, items=4500, rows=4)
    compare(road(kernel, *inputs, 0.1, "tanh"), exact(*inputs, 0.1, "tanh"), 0.1)


@pytest.mark.parametrize(
    ("kernel", "size", "far"),  # the one item that was drawn: in the first block, or the last
    [
        (kernels.pairwise_softmax, 60, 2),
        (kernels.catalogue_softmax, 4500, 2),
        (kernels.catalogue_softmax, 4500, 4400),
    ],
)
def test_a_row_far_below_the_catalogue_does_not_vanish(
    road: Road, kernel: Callable[..., Any], size: int, far: int
) -> None:
    """At a small temperature the best item may be e^100 above all that were drawn."""
    items = torch.tensor([[1.0, 0.0]]).repeat(size, 1)
    items[far], items[1] = -items[far], torch.tensor([0.0, 1.0])
    inputs = torch.tensor([[0.5, 0.0]]), items, torch.tensor([1]), torch.tensor([[far, far]])
    value, *gradients = road(kernel, *inputs, 0.005, "exp")
    assert float(value) == pytest.approx(-100 + math.log(2), rel=1e-6)
    assert torch.allclose(gradients[1][far], torch.tensor([100.0, 0.0]))


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numbers_out_of_the_ordinary_range(road: Road, name: str, activation: str) -> None:
    """Without unit length a difference may be in the hundreds: nothing overflows."""
    kernel, count = SOFTMAX[name]
    users, *others = tables(24, count)
    inputs = [users * 400, *others]
    value, *gradients = road(kernel, *inputs, 1.0, activation)
    assert all(bool(x.isfinite().all()) for x in gradients)
    # Row 0 lies below the domain of some activations: where they are held depends on the dtype.
    got, expected = value[1:].double(), exact(*inputs, 1.0, activation)[0][1:]
    assert bool(value[0].isfinite()) and torch.allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["user", "item", "positive"])
def test_scores_that_are_not_numbers_show(road: Road, name: str, wrong: float, place: str) -> None:
    kernel, count = SOFTMAX[name]
    inputs = users, items, positive, negative = tables(24, count)
    if place == "user":
        users[3, 1] = wrong
    else:
        items[positive[3] if place == "positive" or not count else negative[3, -1], 1] = wrong
    value, grad_users, _ = road(kernel, *inputs, 0.1, "relu")
    assert bool(value[3].isnan()) and bool(grad_users[3].isnan().all())
    if place == "user":
        assert bool(value[[0, 1, 2, 4, 5, 6]].isfinite().all())


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("wrong", [-1, 53, 1 << 40])
def test_an_id_outside_the_table_shows_and_nothing_is_read_there(
    road: Road, name: str, wrong: int
) -> None:
    kernel, count = SOFTMAX[name]
    for places in ((2,), (3,), (2, 3)) if count else ((2,),):
        inputs = tables(24, count)
        for place in places:
            inputs[place][3, ...] = wrong
        value, grad_users, _ = road(kernel, *inputs, 0.1, "relu")
        assert value.isnan().tolist() == [False] * 3 + [True] + [False] * 3
        assert bool(grad_users[3].isnan().all())


@pytest.mark.parametrize(("dim", "count"), [(24, 37), (64, 301), (5, 1)])
def test_scores_and_their_gradients(road: Road, dim: int, count: int) -> None:
    users, items, _, columns = tables(dim, count)
    weight = torch.randn(columns.shape, generator=torch.Generator().manual_seed(1))
    u, v = users.double().requires_grad_(), items.double().requires_grad_()
    expected = sampled_scores(u, v, columns)
    (expected * weight.double()).sum().backward()
    got = road(kernels.scores, users, items, columns)
    assert torch.allclose(got.double(), expected.detach(), rtol=1e-6, atol=5e-7)
    for one, other in zip(
        road(kernels.scatter_scores, users, items, columns, weight), (u.grad, v.grad), strict=True
    ):
        assert other is not None
        assert torch.allclose(one.double(), other, atol=2e-6 * float(other.abs().max()))


def test_scores_of_an_id_outside_the_table(road: Road) -> None:
    users, items, _, columns = tables()
    columns[1, 2], columns[3, 4] = -1, len(items)
    wrong = (columns < 0) | (columns >= len(items))
    assert torch.equal(road(kernels.scores, users, items, columns).isnan(), wrong)
    grad_users, _ = road(kernels.scatter_scores, users, items, columns, torch.ones(columns.shape))
    assert torch.equal(grad_users.isnan().all(1), wrong.any(1))


@pytest.mark.parametrize("dim", [5, 24, 64, 300])
def test_rows_of_unit_length_and_their_gradient(road: Road, dim: int) -> None:
    g = torch.Generator().manual_seed(dim)
    x, grad = (torch.randn(37, dim, generator=g) for _ in range(2))
    x[3], x[4] = 0.0, 1e-14  # held: no slope along the row
    wide = x.double().requires_grad_()
    expected = normalize(wide, dim=1)
    expected.backward(grad.double())
    out, inverse = road(kernels.unit_rows, x)
    got = road(kernels.unit_rows_backward, grad, out, inverse)
    assert torch.allclose(out.double(), expected.detach(), rtol=1e-6, atol=1e-7)
    assert wide.grad is not None
    scale = wide.grad.abs().amax(1, keepdim=True)
    assert bool(((got.double() - wide.grad).abs() <= 2e-6 * scale).all())


def test_a_row_that_is_not_a_number_stays_one(road: Road) -> None:
    x = torch.ones(20, 8)
    x[7, 2] = math.nan
    out, inverse = road(kernels.unit_rows, x)
    assert out.isnan().any(1).nonzero().tolist() == inverse.isnan().nonzero().tolist() == [[7]]


@pytest.mark.parametrize(("batch", "dim"), [(1, 8), (50, 21), (1100, 64)])
def test_the_gradient_of_a_lookup(road: Road, batch: int, dim: int) -> None:
    g = torch.Generator().manual_seed(batch)
    ids = torch.randint(40, (batch,), generator=g)
    grad, table = torch.randn(batch, dim, generator=g), torch.zeros(60, dim).double()
    embedding(ids, table.requires_grad_()).backward(grad.double())
    got = road(kernels.lookup_backward, grad, ids, 60)
    assert table.grad is not None
    assert torch.allclose(got.double(), table.grad, atol=2e-6 * float(table.grad.abs().max()))


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_adam_is_that_of_torch(road: Road, weight_decay: float) -> None:
    g = torch.Generator().manual_seed(0)
    table, settings = torch.randn(70, 31, generator=g), {"lr": 0.1, "weight_decay": weight_decay}
    exact = table.double().requires_grad_()
    theirs = torch.optim.Adam([exact], **settings)
    move = partial(kernels.adam_step, betas=(0.9, 0.999), eps=1e-8, **settings)
    mean, square = torch.zeros_like(table), torch.zeros_like(table)
    for step in range(1, 8):
        grad = torch.randn(70, 31, generator=g) * 10.0**-step
        grad[3] = 0.0
        exact.grad = grad.double()
        theirs.step()
        table, mean, square = road(move, table, grad, mean, square, torch.tensor(float(step)))
        assert torch.allclose(table.double(), exact.detach(), rtol=1e-6, atol=2e-6)
    state = theirs.state[exact]
    assert torch.allclose(mean.double(), state["exp_avg"], rtol=1e-5, atol=1e-9)
    assert torch.allclose(square.double(), state["exp_avg_sq"], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dim", [5, 64])
def test_noise_is_that_of_torch(road: Road, dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(37, dim, generator=torch.Generator().manual_seed(0))
    x[2, 1], x[5] = 0.0, 0.0
    key = stream_key(7, "backbone", 3)
    monkeypatch.setenv("PSL_KERNELS", "off")
    expected = orthant_noise(x, key, 0.1)
    assert torch.equal(orthant_noise(x, torch.tensor(key), 0.1), expected)
    for given in (key, torch.tensor(key)):
        got = road(kernels.orthant_noise, x, given, 0.1)
        assert torch.equal(got == 0, expected == 0)
        assert torch.allclose(got, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dim", [5, 64, 130])
def test_a_sparse_product(road: Road, dim: int) -> None:
    """With a row of no entry, and one of more than a block."""
    rng = np.random.default_rng(0)
    users = np.concatenate([rng.integers(0, 30, 200), np.full(90, 31)])
    liked = np.concatenate([rng.integers(0, 90, 200), np.arange(90)])
    graph = Graph(Interactions.from_pairs(users, liked, 33, 95))
    for matrix in (graph.to_users, graph.to_items):
        x = torch.randn(matrix.shape[1], dim, generator=torch.Generator().manual_seed(1))
        expected = matrix.to_dense().double() @ x.double()
        got = road(kernels.csr_product, matrix, x)
        assert torch.allclose(got.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("key", [0, 1, 16, stream_key(7, "negatives", 3, 2), (1 << 63) - 1])
def test_the_sampler_draws_what_torch_draws(
    road: Road, key: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    # User 3 likes all but the last two items, user 4 none.
    users = np.concatenate([rng.integers(0, 3, 90), np.full(298, 3)])
    liked = np.concatenate([rng.integers(0, 300, 90), np.arange(298)])
    sampler = UniformNegatives(Interactions.from_pairs(users, liked, 5, 300))
    batch = torch.randint(5, (13,), generator=torch.Generator().manual_seed(0))
    monkeypatch.setenv("PSL_KERNELS", "off")
    expected = sampler.sample(batch, 101, key)
    got = road(kernels.uniform_negatives, key, sampler.indptr, sampler.items, 300, batch, 101)
    assert got.dtype == torch.int64 and torch.equal(got, expected)


def test_a_user_that_does_not_exist_gets_no_item_and_nothing_is_read_there(road: Road) -> None:
    sampler = UniformNegatives(Interactions.from_pairs(np.arange(5), np.arange(5), 5, 30))
    batch = torch.tensor([0, -1, 3, 5, 1 << 40, 4])
    wrong = (batch < 0) | (batch >= 5)
    expected = sampler.sample(batch.masked_fill(wrong, 0), 101, 7)
    expected[wrong] = -1
    got = road(kernels.uniform_negatives, 7, sampler.indptr, sampler.items, 30, batch, 101)
    assert torch.equal(got, expected)


def test_the_same_input_gives_the_same_bits(road: Road) -> None:
    for kernel, count in SOFTMAX.values():
        first, second = (road(kernel, *tables(24, count), 0.1, "relu") for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# In the process that interprets: the operators of torch take this road, and it is the same loss.
OPERATORS = """
import os, numpy, torch
from psl import interactions, negatives, ops as scoring
from psl.kernels import dispatch as fast
from psl.kernels.cuda import catalogue
from psl.losses import PairwiseSoftmaxLoss, get_loss

def step(loss, count, kernels):
    os.environ["PSL_KERNELS"] = kernels
    g = torch.Generator().manual_seed(count)
    users, items = (torch.randn(n, 8, generator=g).mul(0.2).requires_grad_() for n in (3, 2200))
    assert (fast.gpu_kernels(users) is not None) == (kernels == "on")
    positive = torch.randint(2200, (3,), generator=g)
    columns = torch.randint(2200, (3, count), generator=g)
    if columns.shape[1]:
        value = scoring.sampled_loss(users, items, positive, columns, loss)
    else:
        value = scoring.catalogue_loss(users, items, positive, loss)
    return value, *torch.autograd.grad(3 * value, (users, items))

called = []
kernels = fast.gpu_kernels(torch.zeros(1))
catalogue.MOST_BYTES = 2 * 8 * 2200  # two rows and one, not three at once
for name in ("pairwise_softmax", "catalogue_softmax", "scores", "uniform_negatives"):
    def spy(*args, name=name, kernel=getattr(kernels, name)):
        called.append(name)
        return kernel(*args)
    setattr(kernels, name, spy)
# More than 2000 columns and 8 for each draw: a gather.
for count in (24, 25, 0):
    for loss in (PairwiseSoftmaxLoss(0.1, "atan"), get_loss("bpr").build(0.1)):
        if count or isinstance(loss, PairwiseSoftmaxLoss):
            for a, b in zip(*(step(loss, count, kernels) for kernels in ("on", "off"))):
                assert torch.allclose(a, b, rtol=1e-4, atol=1e-6), (count, loss)
expected = ["pairwise_softmax", "scores", "catalogue_softmax", "scores", "catalogue_softmax"]
assert called == expected, called
# Rows of a table, by ids that are not side by side.
ids = torch.tensor([[2, 0], [5, 0], [1, 1], [1, 2], [1, 3]])[:, 0]
for os.environ["PSL_KERNELS"] in ("on", "off"):
    table = torch.zeros(7, 8, requires_grad=True)
    (scoring.lookup(ids, table) * torch.arange(1.0, 6)[:, None]).sum().backward()
    assert table.grad[:, 0].tolist() == [0, 12, 1, 0, 0, 2, 0], table.grad
table = interactions.Interactions.from_pairs(numpy.arange(4), numpy.arange(4), 4, 9)
draws = []
for os.environ["PSL_KERNELS"] in ("on", "off"):
    draws.append(negatives.UniformNegatives(table).sample(torch.arange(4), 50, 11))
assert torch.equal(*draws) and called[-1] == "uniform_negatives" and len(called) == 6
"""


def test_the_operators_take_this_road(road: Road, request: pytest.FixtureRequest) -> None:
    if "cuda" in request.node.callspec.params.values():
        pytest.skip("in test_gpu.py")
    road(exec, OPERATORS, {})  # it changes that process: the last test to use it
