"""One matrix: operator x implementation x dtype x shape x reduction, against float64 torch.

Triton's interpreter runs the GPU kernels everywhere, in a process of its own: it is chosen when
Triton is imported.  With ``--run-gpu`` a GPU runs them too.  Whether they compile is asked in
``test_triton_compiles.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import operator_cases as cases
from companion.threads import torch_threads
from operator_cases import (
    SMALL,
    Call,
    Shape,
    everywhere,
    exact,
    kernels,
    paths,
    problem,
    softmax_inputs,
)
from psl.activations import ACTIVATIONS

OneMore = Callable[[bool], None]


def compare(got: list[Tensor], expected: list[Tensor], tau: float = 1.0) -> None:
    # A rounding of 6e-8 in the score is 6e-8 / tau in a term: about 1e-5 at tau = .005.
    assert torch.allclose(got[0].double(), expected[0], rtol=2e-6, atol=2e-7 / tau)
    for one, other in zip(got[1:], expected[1:], strict=True):
        error = (one.double() - other).abs().max() / other.abs().max().clamp(min=1e-30)
        assert error < (1e-5 if tau >= 0.025 else 5e-5), float(error)


def width(activation: str) -> int:
    """Both kinds, a multiple of a vector's 16 numbers and not, but each activation in one alone.

    A CPU's kernel is compiled for each, and that takes longer than all the tests of it.
    """
    return 24 if activation == "relu" else 64


@everywhere
@paths
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tau", [0.005, 0.025, 0.1, 0.25, 1.0])
def test_softmax_losses(
    call: Call, one_more: OneMore, path: str, activation: str, tau: float
) -> None:
    one_more(tau not in (0.005, 0.25))
    inputs = softmax_inputs(path, SMALL._replace(dim=width(activation)))
    how = {"tau": tau, "activation": activation}
    compare(call(cases.call, path, "softmax", inputs, **how), exact("softmax", inputs, **how), tau)


SHAPES = {
    "odd": Shape(7, 37, 53, 21),
    "many draws": Shape(4, 301, 60, 64),
    "many items": Shape(4, 37, 1500, 21),
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
    inputs = problem(SMALL._replace(dim=width("tanh")))
    got = call(cases.call, None, operator, inputs, reduction=reduction, **how)
    compare(got, exact(operator, inputs, reduction=reduction, **how))


@everywhere
@paths
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tau", [1.0, 20.0])
def test_scores_of_any_size(
    call: Call, one_more: OneMore, path: str, activation: str, tau: float
) -> None:
    """Without unit length a difference is in the hundreds, where exp has no float32 number."""
    one_more(tau != 1)
    inputs = softmax_inputs(path, SMALL._replace(dim=width(activation)), length=400)
    how = {"tau": tau, "activation": activation}
    # Rows whose positive stands far above everything, and far below.
    best = (inputs[0] @ inputs[1].T).sort(dim=1).indices
    inputs[2][2:4], inputs[2][4:6] = best[2:4, -1], best[4:6, 0]
    got = call(cases.call, path, "softmax", inputs, **how)
    assert all(bool(x.isfinite().all()) for x in got)
    if ACTIVATIONS[activation].domain == -math.inf:  # where others are held depends on the dtype
        expected = exact("softmax", inputs, **how)
        assert torch.allclose(got[0].double(), expected[0], rtol=1e-6, atol=1e-4)
        for one, other in zip(got, expected, strict=True):
            # A score of 200 is rounded by 1e-5, and its term by that over tau.
            assert (one.double() - other).abs().max() < 1e-4 * other.abs().max()


@everywhere
@pytest.mark.parametrize(("path", "size", "far"), [("sampled", 60, 2), ("dense", 4500, 4400)])
def test_a_row_far_below_the_catalogue_does_not_vanish(
    call: Call, path: str, size: int, far: int
) -> None:
    """At a small temperature the best item may be e^100 above all that were drawn."""
    along, across = torch.eye(2, width("exp"))
    items = along.repeat(size, 1)
    items[far], items[1] = -along, across
    inputs = [along[None] / 2, items, torch.tensor([1]), torch.tensor([[far, far]])]
    value, *gradients = call(cases.call, path, "softmax", inputs, tau=0.005, activation="exp")
    assert float(value) == pytest.approx(-100 + math.log(2), rel=1e-6)
    assert torch.allclose(gradients[1][far], 100 * along)


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
        assert bool(((one.double() - other).abs() <= 2e-6 * rows).all())


@everywhere
@paths
def test_neither_tables_nor_ids_need_be_contiguous(call: Call, path: str) -> None:
    inputs, how = softmax_inputs(path), {"tau": 0.1, "activation": "relu"}
    users, items, positive, negative = inputs
    apart = [users.T.contiguous().T, torch.cat([items, items], 1)[:, : items.shape[1]]]
    apart += [torch.stack([positive, positive + 1], 1)[:, 0]]
    apart += [None if negative is None else negative.T.contiguous().T]
    assert not any(x.is_contiguous() for x in apart if x is not None)
    got, same = (call(cases.call, path, "softmax", x, **how) for x in (apart, inputs))
    assert all(torch.equal(a, b) for a, b in zip(got, same, strict=True))


@kernels
@pytest.mark.parametrize("path", ["sampled", "dense", "catalogue"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["user", "item", "positive"])
def test_scores_that_are_not_numbers_show(
    call: Call, one_more: OneMore, impl: str, path: str, bad: float, where: str
) -> None:
    one_more(math.isinf(bad) and where != "item")
    inputs = users, items, positive, negative = softmax_inputs(path)
    if where == "user":
        users[3, 1] = bad
    else:
        items[positive[3] if where == "positive" or negative is None else negative[3, -1], 1] = bad
    value, grad_users, _ = call(cases.kernel, path, "softmax", *inputs, 0.1, "relu")
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
        value, grad_users, _ = call(cases.kernel, path, "softmax", *arguments)
        assert value.isnan().tolist() == [False] * 3 + [True] + [False] * 3
        assert bool(grad_users[3].isnan().all())


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
