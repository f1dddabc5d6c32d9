"""The CPU kernels against float64 torch at the paper's sizes and temperatures."""

from __future__ import annotations

import io
import math
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from process_defaults import other_defaults
from psl.activations import ACTIVATIONS
from psl.losses import PairwiseSoftmaxLoss, pairwise_softmax_loss
from psl.ops import sampled_loss, unit_rows

kernels = pytest.importorskip("psl.kernels.cpu", reason="numba is missing")
compiling = pytest.importorskip("psl.kernels.cpu.compiling", reason="numba is missing")
maths = pytest.importorskip("psl.kernels.cpu.maths", reason="numba is missing")
import numba  # noqa: E402
from numba import prange  # noqa: E402


def tables(items: int = 900, dim: int = 24, count: int = 301):
    g = torch.Generator().manual_seed(dim)
    users = normalize(torch.randn(33, dim, generator=g), dim=1) / 2
    table = normalize(torch.randn(items, dim, generator=g), dim=1)
    # Opposite and equal pairs: d reaches -1 and 1, the ends of its range.
    table[0], table[1] = 2 * users[0], -2 * users[0]
    positive = torch.randint(items, (33,), generator=g)
    negative = torch.randint(items, (33, count), generator=g)
    positive[0], negative[0, 0], positive[1], negative[1, 0] = 0, 1, 1, 0
    return users, table, positive, negative


PATHS = {"sampled": kernels.pairwise_softmax, "catalogue": kernels.catalogue_softmax}


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


@pytest.mark.parametrize("road", PATHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tau", [0.005, 0.025, 0.1, 0.25, 1.0])
def test_value_and_gradients(road: str, activation: str, tau: float) -> None:
    inputs = tables(dim=64 if activation == "relu" else 24)
    compare(PATHS[road](*inputs, tau, activation), exact(*inputs, tau, activation), tau)


@pytest.mark.parametrize("road", PATHS)
@pytest.mark.parametrize("activation", [n for n, a in ACTIVATIONS.items() if a.domain == -math.inf])
@pytest.mark.parametrize("tau", [1.0, 20.0])
def test_scores_of_any_size(road: str, activation: str, tau: float) -> None:
    """Without unit length a difference is in the hundreds, where exp has no float32 number."""
    users, items, positive, negative = tables()
    users = users * 400
    # Rows whose positive stands far above everything, and far below; an item that is drawn often.
    best = (users @ items.T).sort(dim=1).indices
    positive[2:6], positive[6:10], negative[2:10, :40] = best[2:6, -1], best[6:10, 0], 7
    inputs = users, items, positive, negative
    got, expected = PATHS[road](*inputs, tau, activation), exact(*inputs, tau, activation)
    assert torch.allclose(got[0].double(), expected[0], rtol=1e-6, atol=1e-4)
    for one, other in zip(got[1:], expected[1:], strict=True):
        # A score of 200 is rounded by 1e-5, and its term by that over tau.
        assert (one.double() - other).abs().max() < 1e-4 * other.abs().max()


@pytest.mark.parametrize("items", [5000, 70000])  # several buckets, and as many as there may be
def test_large_catalogues(items: int) -> None:
    inputs = tables(items=items, dim=64)
    compare(kernels.pairwise_softmax(*inputs, 0.1, "relu"), exact(*inputs, 0.1, "relu"), 0.1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("items", [3, 17, 900])
def test_no_columns_are_the_whole_catalogue(activation: str, items: int) -> None:
    users, table, positive, _ = tables(items=900)
    inputs = users, table[:items], positive % items, positive.new_empty(len(users), 0)
    compare(
        kernels.catalogue_softmax(*inputs, 0.1, activation), exact(*inputs, 0.1, activation), 0.1
    )


def test_a_row_far_below_the_catalogue_does_not_vanish() -> None:
    """At a small temperature the best item may be e^100 above all that were drawn."""
    users = torch.tensor([[0.5, 0.0]])
    items = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    positive, negative = torch.tensor([2]), torch.tensor([[1, 1]])
    for road in PATHS.values():
        value, *_ = road(users, items, positive, negative, 0.005, "exp")
        assert float(value) == pytest.approx(-100 + math.log(2), rel=1e-6)


def test_exponential() -> None:
    x = np.concatenate([np.linspace(-86, 63, 20001), np.linspace(-1, 1, 2001)]).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    got = np.array([maths.exp(t) for t in x], dtype=np.float64)
    assert np.all(np.abs(got / exact - 1) < 1e-7 * (2 + np.abs(x)))


def test_logarithm() -> None:
    x = np.concatenate([np.geomspace(1e-7, 1e7, 20001), np.linspace(0.5, 2, 2001)])
    exact = np.log(x.astype(np.float32).astype(np.float64))
    got = np.array([maths.log(t) for t in x.astype(np.float32)], dtype=np.float64)
    assert np.all(np.abs(got - exact) < 2e-7 * np.maximum(np.abs(exact), 1))


def test_arc_tangent() -> None:
    x = np.concatenate([np.linspace(-1, 1, 20001), np.geomspace(1, 1e6, 2001)]).astype(np.float32)
    got = np.array([maths.atan(t) for t in x], dtype=np.float64)
    error = np.abs(got - np.arctan(x.astype(np.float64)))
    assert error[np.abs(x) <= 1].max() < 2e-7  # the range of d
    assert error.max() < 6e-7


@pytest.mark.parametrize("shape", [(8, 20), (16, 64), (64, 301), (64, 1000)])
def test_the_bits_depend_on_nothing_but_the_input(shape: tuple[int, int]) -> None:
    """Not on the number of threads, and not on where the arrays happen to lie."""
    dim, count = shape
    inputs = tables(dim=dim, count=count)
    few = inputs[2] % 40, inputs[3] % 40  # ids of a catalogue of forty
    columns = torch.cat([inputs[2][:, None], inputs[3]], dim=1)
    weight = torch.randn(columns.shape, generator=torch.Generator().manual_seed(0))
    before, first = torch.get_num_threads(), None
    try:
        for turn in range(24):
            torch.set_num_threads(1 + turn % 2)
            _elsewhere = [torch.empty(16 * k + turn) for k in range(turn % 5)]
            out = (
                *kernels.pairwise_softmax(*inputs, 0.1, "relu"),
                *kernels.catalogue_softmax(*inputs[:1], inputs[1][:40], *few, 0.1, "relu")[:1],
                kernels.scores(*inputs[:2], columns),
                *kernels.scatter_scores(*inputs[:2], columns, weight),
                *kernels.unit_rows(inputs[1]),
            )
            first = first or out
            assert all(torch.equal(a, b) for a, b in zip(out, first, strict=True))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-13, 0.0, 1e8])
def test_rows_of_unit_length(scale: float) -> None:
    """As torch's normalize, which holds the length above 1e-12, in value and gradient."""
    g = torch.Generator().manual_seed(1)
    x = (torch.randn(7, 24, generator=g) * scale).requires_grad_()
    weight = torch.randn(7, 24, generator=g)
    results = []
    for route, dtype in ((unit_rows, torch.float32), (normalize, torch.float64)):
        y = x.detach().to(dtype).requires_grad_()
        out = route(y)
        (out * weight.to(dtype)).sum().backward()
        results.append((out.detach(), y.grad))
    for got, expected in zip(*results, strict=True):
        assert expected is not None and got is not None
        size = float(expected.abs().max())
        assert torch.allclose(got.double(), expected, rtol=2e-6, atol=1e-6 * size)


def test_tables_need_not_be_contiguous() -> None:
    users, items, positive, negative = tables()
    wide = torch.cat([items, items], dim=1)[:, : items.shape[1]]
    loss = PairwiseSoftmaxLoss(0.1)
    straight = sampled_loss(users, items, positive, negative, loss)
    assert torch.equal(
        sampled_loss(users, wide, positive, negative.T.contiguous().T, loss), straight
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_the_module_has_a_kernel(name: str) -> None:
    assert set(maths.KINDS) == set(ACTIVATIONS)
    # 30, 32, 60, 64 and 87: where a formula or the range of exp ends.
    ends = [s * d for d in (29.0, 31.0, 33.0, 44.0, 59.0, 62.0, 65.0, 89.0, 500.0) for s in (1, -1)]
    for d in (-0.9, -0.3, 0.0, 0.4, 0.9, *ends):
        if d <= ACTIVATIONS[name].domain:
            continue
        x = torch.tensor(d, dtype=torch.float64, requires_grad=True)
        value = ACTIVATIONS[name].log(x)
        value.backward()
        assert x.grad is not None
        h, slope = maths.term(maths.KINDS.index(name), np.float32(d))
        assert math.isclose(h, float(value.detach()), rel_tol=1e-6, abs_tol=4e-7)
        assert math.isclose(slope, float(x.grad), rel_tol=2e-6, abs_tol=1e-30)


def copied(folder: Path) -> Path:
    """Copy the package, and return where the copy has its kernels."""
    package = Path(str(kernels.__file__)).parents[2]
    shutil.copytree(package, folder / "psl", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "psl" / "kernels" / "cpu"


COMPILED = """
import torch
from psl.kernels import cpu as kernels
from psl.kernels.cpu import compiling

stored, store = [], compiling._store
compiling._store = lambda function, *rest: (stored.append(function), store(function, *rest))
kernels.unit_rows(torch.ones(2, 2)), kernels.csr_product(torch.eye(2).to_sparse_csr(), torch.eye(2))
print(*(function.__module__ for function in stored))
"""


def test_what_was_compiled_is_not_used_after_the_options_changed(tmp_path: Path) -> None:
    """numba looks at the file of a kernel only; what it is compiled with stands in another."""

    def compiled() -> list[str]:
        run = subprocess.run(
            [sys.executable, "-c", COMPILED],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        return run.stdout.split()

    path = copied(tmp_path) / "compiling.py"
    both = ["psl.kernels.cpu.rows", "psl.kernels.cpu.graph"]
    assert compiled() == both and compiled() == []
    path.write_text(path.read_text().replace('"nsz", "arcp"', '"nsz"'))
    assert compiled() == both


def test_what_was_compiled_is_not_used_after_its_mathematics_changed(tmp_path: Path) -> None:
    """The mathematics live in another file than the kernels."""
    path = copied(tmp_path) / "maths.py"
    code = (
        "import torch, psl.kernels.cpu as k;"
        "print(float(k.pairwise_softmax(torch.ones(1, 2), torch.ones(2, 2), torch.tensor([0]),"
        "torch.tensor([[1]]), 1.0, 'exp')[0]))"
    )

    def value() -> float:
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return float(run.stdout)

    assert value() == 0
    path.write_text(path.read_text().replace("return d, f4(1)", "return d + f4(1), f4(1)"))
    assert value() == 1


def test_the_process_that_compiles_gives_the_bits_of_those_that_load(tmp_path: Path) -> None:
    """Fails with numba's ``njit`` alone: it stores other machine code than it goes on with."""
    code = """
import hashlib, torch
from psl.kernels.cpu import pairwise_softmax, unit_rows
g = torch.Generator().manual_seed(0)
u, v = (unit_rows(torch.randn(rows, 64, generator=g))[0] for rows in (64, 500))
p, n = torch.randint(500, (64,), generator=g), torch.randint(500, (64, 300), generator=g)
out = pairwise_softmax(u / 2, v, p, n, 0.1, "relu")
print(hashlib.sha256(b"".join(x.numpy().tobytes() for x in out)).hexdigest())
"""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True
        ).stdout
        for _ in range(2)
    )
    assert first == second
    assert list(tmp_path.rglob("*.nbc"))


def test_without_a_child_process_a_kernel_compiles_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(parent: int) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(compiling, "_child", refuse)
    factor = time.time_ns() % 1000 / 7  # part of the cache's key: never stored before

    @compiling.compiled
    def kernel(x):
        for i in prange(len(x)):
            x[i] *= factor

    x = np.ones(3)
    kernel(x)
    assert (x == factor).all()


def test_a_kernel_that_does_not_compile_leaves_the_child_to_the_next() -> None:
    def wrong(x):
        return x.no_such_attribute

    def right(x):
        for i in prange(len(x)):
            x[i] += 1

    of = (numba.float64[::1],)
    requests, answers = io.BytesIO(), io.BytesIO()
    for function in (wrong, right):
        pickle.dump(numba.cloudpickle.dumps((function, of)), requests)
    requests.seek(0)
    compiling._serve(requests, answers)
    answers.seek(0)
    assert [pickle.load(answers) for _ in range(2)] == [None, None]
    with pytest.raises(numba.TypingError, match="no_such_attribute"):
        compiling.compiled(wrong)(np.ones(3))


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_defaults_of_the_process_do_not_reach_the_kernels() -> None:
    """An output of another dtype or device than the inputs' would be written beyond its end."""
    users, items, positive, negative = inputs = tables()
    weight, ids = torch.ones(negative.shape), torch.arange(34)
    graph = torch.eye(900).to_sparse_csr()

    def outputs() -> list[torch.Tensor]:
        drawn = kernels.uniform_negatives(5, ids, ids, 900, positive % 33, 7)
        return [
            *(x for road in PATHS.values() for x in road(*inputs, 0.1, "relu")),
            kernels.scores(users, items, negative),
            *kernels.scatter_scores(users, items, negative, weight),
            *kernels.unit_rows(items),
            kernels.unit_rows_backward(items, *kernels.unit_rows(items)),
            kernels.csr_product(graph, items),
            kernels.orthant_noise(items, 5, 0.1),
            drawn.clone(),
            kernels.mix_in(1, 2, 0.5, ids, ids, positive % 33, drawn),
        ]

    expected = outputs()
    with other_defaults():
        got = outputs()
    for one, two in zip(expected, got, strict=True):
        assert one.dtype == two.dtype and torch.equal(one, two)


def test_starting_the_kernels_leaves_torchs_number_of_threads_alone() -> None:
    code = (
        "import torch; torch.set_num_threads(1); from psl.ops import unit_rows; "
        "unit_rows(torch.ones(9, 4)); assert torch.get_num_threads() == 1"
    )
    two = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], check=True, env=two)
