"""One matrix: operator x implementation x dtype x shape x reduction, against float64 torch.

Triton's interpreter runs the GPU kernels everywhere, in a process of its own: it is chosen when
Triton is imported.  With ``--run-gpu`` a GPU runs them too.  Whether they compile is asked in
``test_triton_compiles.py``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import operator_cases as cases
from operator_cases import Shape, exact, problem
from process_defaults import other_defaults
from psl.activations import ACTIVATIONS
from psl.interactions import Interactions
from psl.models.contrast import orthant_noise
from psl.models.graph import Graph
from psl.negatives import NoisyNegatives, UniformNegatives
from psl.streams import stream_key
from psl.training.device import torch_threads

Call = Callable[..., Any]
INTERPRET = {"TRITON_INTERPRET": "1", "PSL_TRITON_CPU": "1"}


def missing(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is missing")


TORCH, NUMBA = "torch", pytest.param("numba", marks=missing("numba"))
TRITON = pytest.param("triton", marks=missing("triton"))
CUDA = pytest.param("cuda", marks=[pytest.mark.gpu, missing("triton")])


@pytest.fixture(scope="module")
def interpreter() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in INTERPRET.items():
                patch.setenv(name, value)
            pool.submit(os.getpid).result()  # the process starts here, with these variables
        yield pool


@pytest.fixture
def call(impl: str, request: pytest.FixtureRequest) -> Call:
    """Call a function of ``operator_cases`` with the name of the implementation."""

    def run(function: Call, *args: Any, **how: Any) -> Any:
        if impl != "triton":
            return function(impl, *args, **how)
        pool = request.getfixturevalue("interpreter")
        return pool.submit(function, impl, *args, **how).result()

    return run


everywhere = pytest.mark.parametrize("impl", [TORCH, NUMBA, TRITON, CUDA])
kernels = pytest.mark.parametrize("impl", [NUMBA, TRITON, CUDA])
paths = pytest.mark.parametrize("path", ["sampled", "dense", "catalogue"])
SMALL = Shape(7, 37, 53, 24)


def softmax_inputs(path: str, shape: Shape = SMALL, length: float = 1.0) -> list[Any]:
    inputs: list[Any] = problem(shape, length)
    return [*inputs[:3], None] if path == "catalogue" else inputs


def compare(got: list[Tensor], expected: list[Tensor], tau: float = 1.0) -> None:
    # A rounding of 6e-8 in the score is 6e-8 / tau in a term: about 1e-5 at tau = .005.
    assert torch.allclose(got[0].double(), expected[0], rtol=2e-6, atol=5e-7 / tau)
    for one, other in zip(got[1:], expected[1:], strict=True):
        error = (one.double() - other).abs().max() / other.abs().max().clamp(min=1e-30)
        assert error < (1e-5 if tau >= 0.025 else 5e-5), float(error)


@everywhere
@paths
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tau", [0.005, 0.1, 1.0])
def test_softmax_losses(call: Call, path: str, activation: str, tau: float) -> None:
    inputs = softmax_inputs(path, SMALL._replace(dim=24 if activation == "relu" else 64))
    how = {"tau": tau, "activation": activation}
    compare(call(cases.call, path, "softmax", inputs, **how), exact("softmax", inputs, **how), tau)


SHAPES = {
    "odd": Shape(7, 37, 53, 21),
    "many draws": Shape(4, 301, 60, 64),
    "many items": Shape(4, 37, 1500, 24),
    "many buckets": Shape(33, 301, 70_000, 64),
    "one draw": Shape(4, 2, 3, 5),
}


@everywhere
@paths
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(call: Call, impl: str, path: str, shape: str) -> None:
    if impl == "triton" and (shape == "many buckets" or (shape, path) == ("many items", "sampled")):
        pytest.skip("a long time in the interpreter")
    inputs, how = softmax_inputs(path, SHAPES[shape]), {"tau": 0.025, "activation": "atan"}
    compare(
        call(cases.call, path, "softmax", inputs, **how), exact("softmax", inputs, **how), 0.025
    )


@everywhere
@pytest.mark.parametrize("operator", ["softmax", "bpr"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(call: Call, operator: str, reduction: str) -> None:
    how = {"tau": 0.2, "activation": "tanh"} if operator == "softmax" else {}
    inputs = problem(SMALL)
    got = call(cases.call, None, operator, inputs, reduction=reduction, **how)
    compare(got, exact(operator, inputs, reduction=reduction, **how))


@everywhere
@paths
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_scores_of_any_size(call: Call, path: str, activation: str) -> None:
    """Without unit length a difference is in the hundreds, where exp has no float32 number."""
    inputs, how = softmax_inputs(path, length=400), {"tau": 1.0, "activation": activation}
    got = call(cases.call, path, "softmax", inputs, **how)
    assert all(bool(x.isfinite().all()) for x in got)
    if ACTIVATIONS[activation].domain == -math.inf:  # where others are held depends on the dtype
        expected = exact("softmax", inputs, **how)
        for one, other in zip(got, expected, strict=True):
            # A score of 200 is rounded by 1e-5.
            assert (one.double() - other).abs().max() < 1e-4 * other.abs().max()


@everywhere
@pytest.mark.parametrize(("path", "size", "far"), [("sampled", 60, 2), ("dense", 4500, 4400)])
def test_a_row_far_below_the_catalogue_does_not_vanish(
    call: Call, path: str, size: int, far: int
) -> None:
    """At a small temperature the best item may be e^100 above all that were drawn."""
    items = torch.tensor([[1.0, 0.0]]).repeat(size, 1)
    items[far], items[1] = -items[far], torch.tensor([0.0, 1.0])
    inputs = [torch.tensor([[0.5, 0.0]]), items, torch.tensor([1]), torch.tensor([[far, far]])]
    value, *gradients = call(cases.call, path, "softmax", inputs, tau=0.005, activation="exp")
    assert float(value) == pytest.approx(-100 + math.log(2), rel=1e-6)
    assert torch.allclose(gradients[1][far], torch.tensor([100.0, 0.0]))


@everywhere
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [SMALL, Shape(8, 301, 60, 64), Shape(5, 2, 90, 5)])
@pytest.mark.parametrize("operator", ["scores", "unit_rows", "lookup", "bpr"])
def test_other_operators(call: Call, operator: str, shape: Shape, dtype: torch.dtype) -> None:
    users, items, positive, columns = problem(shape)
    items[2], items[3], items[4] = 0.0, 1e-14 * items[3], 1e8 * items[4]  # held: no slope
    users, items = users.to(dtype), items.to(dtype)
    inputs: list[Any] = {
        "scores": [users, items.clamp(max=1), columns],
        "unit_rows": [items],
        "lookup": [torch.stack([positive, positive + 1], 1)[:, 0], items.clamp(max=1)],
        "bpr": [users, items.clamp(max=1), positive, columns],
    }[operator]
    got, expected = call(cases.call, None, operator, inputs), exact(operator, inputs)
    assert got[0].dtype == dtype
    for one, other in zip(got, expected, strict=True):
        rows = other.abs().amax(-1, keepdim=True) if operator == "unit_rows" else other.abs().max()
        assert bool(((one.double() - other).abs() <= 3e-6 * rows).all())


@kernels
@pytest.mark.parametrize("path", ["sampled", "dense", "catalogue"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["user", "item", "positive"])
def test_scores_that_are_not_numbers_show(
    call: Call, impl: str, path: str, bad: float, where: str
) -> None:
    inputs = users, items, positive, negative = softmax_inputs(path)
    if where == "user":
        users[3, 1] = bad
    else:
        items[positive[3] if where == "positive" or negative is None else negative[3, -1], 1] = bad
    value, grad_users, _ = call(cases.kernel, path, "pairwise_softmax", *inputs, 0.1, "relu")
    assert bool(value[3].isnan()) and (impl == "numba" or bool(grad_users[3].isnan().all()))
    if where == "user":
        assert bool(value[[0, 1, 2, 4, 5, 6]].isfinite().all())


@everywhere
@paths
@pytest.mark.parametrize("bad_id", [-1, 53, 1 << 40])
def test_an_id_outside_the_table_shows(call: Call, impl: str, path: str, bad_id: int) -> None:
    """On a CPU it is an error; a GPU is not waited for: nothing is read there, and NaN comes."""
    for places in ((2,), (3,), (2, 3)) if path != "catalogue" else ((2,),):
        inputs = softmax_inputs(path)
        for place in places:
            inputs[place][3, ...] = bad_id
        arguments = (*inputs, 0.1, "relu")
        if impl in ("torch", "numba"):
            with pytest.raises(IndexError, match=r"not in 0 \.\. 52"):
                call(cases.call, path, "softmax", inputs, tau=0.1, activation="relu")
            continue
        value, grad_users, _ = call(cases.kernel, path, "pairwise_softmax", *arguments)
        assert value.isnan().tolist() == [False] * 3 + [True] + [False] * 3
        assert bool(grad_users[3].isnan().all())


@pytest.mark.parametrize("impl", [TRITON, CUDA])
def test_scores_of_an_id_outside_the_table(call: Call) -> None:
    users, items, _, columns = problem(SMALL)
    columns[1, 2], columns[3, 4] = -1, len(items)
    outside = (columns < 0) | (columns >= len(items))
    scores = call(cases.kernel, None, "sampled_scores", users, items, columns)
    assert torch.equal(scores.isnan(), outside)
    weight = torch.ones(columns.shape)
    back = call(cases.kernel, None, "sampled_scores_backward", users, items, columns, weight)
    assert torch.equal(back[0].isnan().all(1), outside.any(1))


@kernels
def test_a_row_that_is_not_a_number_stays_one(call: Call) -> None:
    x = torch.ones(20, 8)
    x[7, 2] = math.nan
    out, inverse = call(cases.kernel, None, "unit_rows", x)
    assert out.isnan().any(1).nonzero().tolist() == inverse.isnan().nonzero().tolist() == [[7]]


@pytest.mark.parametrize("impl", [TRITON, CUDA])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_adam_is_that_of_torch(call: Call, weight_decay: float) -> None:
    g = torch.Generator().manual_seed(0)
    table, settings = torch.randn(70, 31, generator=g), {"lr": 0.1, "weight_decay": weight_decay}
    wide = table.double().requires_grad_()
    theirs = torch.optim.Adam([wide], **settings)
    mean, square = torch.zeros_like(table), torch.zeros_like(table)
    how = {"betas": (0.9, 0.999), "eps": 1e-8, **settings}
    for step in range(1, 8):
        grad = torch.randn(70, 31, generator=g) * 10.0**-step
        grad[3] = 0.0
        wide.grad = grad.double()
        theirs.step()
        state = table, grad, mean, square, torch.tensor(float(step))
        table, mean, square = call(cases.kernel, None, "adam_step", *state, **how)
        assert torch.allclose(table.double(), wide.detach(), rtol=1e-6, atol=2e-6)
    kept = theirs.state[wide]
    assert torch.allclose(mean.double(), kept["exp_avg"], rtol=1e-5, atol=1e-9)
    assert torch.allclose(square.double(), kept["exp_avg_sq"], rtol=1e-5, atol=1e-12)


@kernels
@pytest.mark.parametrize("dim", [5, 64])
def test_noise_is_that_of_torch(call: Call, dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(37, dim, generator=torch.Generator().manual_seed(0))
    x[2, 1], x[5] = 0.0, 0.0
    key = stream_key(7, "backbone", 3)
    monkeypatch.setenv("PSL_KERNELS", "off")
    expected = orthant_noise(x, key, 0.1)
    for given in (key, torch.tensor(key)):
        assert torch.equal(orthant_noise(x, given, 0.1), expected)
        got = call(cases.kernel, None, "orthant_noise", x, given, 0.1)
        assert torch.equal(got == 0, expected == 0)
        assert torch.allclose(got, expected, rtol=1e-6, atol=1e-9)


@kernels
@pytest.mark.parametrize("dim", [5, 64, 130])
def test_a_sparse_product(call: Call, dim: int) -> None:
    """With a row of no entry, and one of more than a block."""
    rng = np.random.default_rng(0)
    users = np.concatenate([rng.integers(0, 30, 200), np.full(90, 31)])
    liked = np.concatenate([rng.integers(0, 90, 200), np.arange(90)])
    graph = Graph(Interactions.from_pairs(users, liked, 33, 95))
    for matrix in (graph.to_users, graph.to_items):
        x = torch.randn(matrix.shape[1], dim, generator=torch.Generator().manual_seed(1))
        expected = matrix.to_dense().double() @ x.double()
        got = call(cases.kernel, None, "csr_product", matrix, x)
        assert torch.allclose(got.double(), expected, rtol=1e-5, atol=1e-6)


@kernels
@pytest.mark.parametrize("key", [0, 1, 16, stream_key(7, "negatives", 3, 2), (1 << 63) - 1])
def test_the_sampler_draws_what_torch_draws(
    call: Call, key: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    # User 3 likes all but the last two items, user 4 none.
    users = np.concatenate([rng.integers(0, 3, 90), np.full(298, 3)])
    liked = np.concatenate([rng.integers(0, 300, 90), np.arange(298)])
    sampler = UniformNegatives(Interactions.from_pairs(users, liked, 5, 300))
    batch = torch.randint(5, (13,), generator=torch.Generator().manual_seed(0))
    monkeypatch.setenv("PSL_KERNELS", "off")
    expected = sampler.sample(batch, 101, key)
    inputs = key, sampler.indptr, sampler.items, 300
    got = call(cases.kernel, None, "uniform_negatives", *inputs, batch, 101)
    assert got.dtype == torch.int64 and torch.equal(got, expected)


@pytest.mark.parametrize("impl", [TRITON, CUDA])
def test_a_user_that_does_not_exist_gets_no_item_and_nothing_is_read_there(call: Call) -> None:
    sampler = UniformNegatives(Interactions.from_pairs(np.arange(5), np.arange(5), 5, 30))
    batch = torch.tensor([0, -1, 3, 5, 1 << 40, 4])
    outside = (batch < 0) | (batch >= 5)
    expected = sampler.sample(batch.masked_fill(outside, 0), 101, 7)
    expected[outside] = -1
    inputs = 7, sampler.indptr, sampler.items, 30, batch, 101
    assert torch.equal(call(cases.kernel, None, "uniform_negatives", *inputs), expected)


@everywhere
@paths
def test_the_same_input_gives_the_same_bits(call: Call, impl: str, path: str) -> None:
    """In one thread or two, wherever the arrays lie; more threads are asked in ``test_threads``."""
    how = {"tau": 0.1, "activation": "relu"}
    for shape in (SMALL, Shape(64, 33, 5, 64), Shape(16, 301, 900, 63)):
        if impl == "triton" and shape is not SMALL:
            continue
        inputs, expected = softmax_inputs(path, shape), None
        for turn in range(2 if impl == "triton" else 12):
            _elsewhere = [torch.empty(16 * k + turn) for k in range(turn % 5)]
            with torch_threads(1 + turn % 2):
                got = call(cases.call, path, "softmax", inputs, **how)
                if impl != "triton":
                    got += call(cases.call, path, "bpr", problem(shape))
                    got += call(cases.call, path, "unit_rows", inputs[1:2])
            expected = expected or got
            assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("impl", [NUMBA])
def test_defaults_of_the_process_do_not_reach_the_kernels(call: Call) -> None:
    """An output of another dtype or device than the inputs' would be written beyond its end."""
    users, items, positive, negative = inputs = problem(SMALL)
    data = Interactions.from_pairs(np.arange(7), np.arange(7), 7, 53)
    sampler, noisy = UniformNegatives(data), NoisyNegatives(data, 0.5, np.random.default_rng(0))
    graph, batch = Graph(data).to_users, positive % 7

    def outputs() -> list[Any]:
        return [
            *call(cases.kernel, "sampled", "pairwise_softmax", *inputs, 0.1, "relu"),
            *call(cases.kernel, "dense", "pairwise_softmax", *inputs, 0.1, "relu"),
            call(cases.kernel, None, "sampled_scores", users, items, negative),
            *call(cases.kernel, None, "sampled_scores_backward", *inputs[:2], negative, weight),
            *call(cases.kernel, None, "unit_rows", items),
            call(cases.kernel, None, "unit_rows_backward", items, items, items[:, 0].contiguous()),
            call(cases.kernel, None, "csr_product", graph, items),
            call(cases.kernel, None, "orthant_noise", items, 5, 0.1),
            sampler.sample(batch, 7, 5),
            noisy.sample(batch, 7, 5),
        ]

    weight = torch.ones(negative.shape)
    expected = outputs()
    with other_defaults():
        got = outputs()
    for one, two in zip(expected, got, strict=True):
        assert one.dtype == two.dtype and torch.equal(one, two)
