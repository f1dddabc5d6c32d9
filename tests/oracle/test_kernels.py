"""What single kernels do beside the matrix of ``test_operators.py``: draws, noise, Adam, graphs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import operator_cases as cases
from operator_cases import NUMBA, SMALL, Call, gpu, kernels, problem
from process_defaults import other_defaults
from psl.interactions import Interactions
from psl.models.contrast import orthant_noise
from psl.models.graph import Graph
from psl.negatives import NoisyNegatives, UniformNegatives
from psl.streams import stream_key


@gpu
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


@gpu
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
@pytest.mark.parametrize("count", [1, 7, 8, 101])
@pytest.mark.parametrize("key", [0, 1, 16, stream_key(7, "negatives", 3, 2), (1 << 63) - 1])
def test_the_sampler_draws_what_torch_draws(
    call: Call, key: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    # User 3 likes all but the last two items, user 4 none.
    users = np.concatenate([rng.integers(0, 3, 90), np.full(298, 3)])
    liked = np.concatenate([rng.integers(0, 300, 90), np.arange(298)])
    sampler = UniformNegatives(Interactions.from_pairs(users, liked, 5, 300))
    batch = torch.randint(5, (13,), generator=torch.Generator().manual_seed(0))
    monkeypatch.setenv("PSL_KERNELS", "off")
    expected = sampler.sample(batch, count, key)
    inputs = key, sampler.indptr, sampler.items, 300
    got = call(cases.kernel, None, "uniform_negatives", *inputs, batch, count)
    assert got.dtype == torch.int64 and torch.equal(got, expected)


@gpu
def test_a_user_that_does_not_exist_gets_no_item_and_nothing_is_read_there(call: Call) -> None:
    sampler = UniformNegatives(Interactions.from_pairs(np.arange(5), np.arange(5), 5, 30))
    batch = torch.tensor([0, -1, 3, 5, 1 << 40, 4])
    outside = (batch < 0) | (batch >= 5)
    expected = sampler.sample(batch.masked_fill(outside, 0), 101, 7)
    expected[outside] = -1
    inputs = 7, sampler.indptr, sampler.items, 30, batch, 101
    assert torch.equal(call(cases.kernel, None, "uniform_negatives", *inputs), expected)


@pytest.mark.parametrize("impl", [NUMBA])
def test_defaults_of_the_process_do_not_reach_the_kernels(call: Call) -> None:
    """An output of another dtype or device than the inputs' would be written beyond its end."""
    users, items, positive, negative = inputs = problem(SMALL)
    data = Interactions.from_pairs(np.arange(7), np.arange(7), 7, 53)
    sampler, noisy = UniformNegatives(data), NoisyNegatives(data, 0.5, np.random.default_rng(0))
    graph, batch = Graph(data).to_users, positive % 7

    def outputs() -> list[Any]:
        return [
            *call(cases.kernel, "sampled", "softmax", *inputs, 0.1, "relu"),
            *call(cases.kernel, "dense", "softmax", *inputs, 0.1, "relu"),
            call(cases.kernel, None, "sampled_scores", users, items, negative),
            *call(cases.kernel, None, "sampled_scores_backward", *inputs[:2], negative, weight),
            *call(cases.kernel, None, "unit_rows", items),
            call(cases.kernel, None, "unit_rows_backward", items, items, items[:, 0].contiguous()),
            call(cases.kernel, None, "csr_product", graph, items),
            call(cases.kernel, None, "orthant_noise", items, 5, 0.1),
            sampler.sample(batch, 7, 5),
            *call(cases.kernel, None, "best_items", users, items, [view, view], 5),
            noisy.sample(batch, 7, 5),
        ]

    weight, view = torch.ones(negative.shape), data.to("cpu")[:2]
    expected = outputs()
    with other_defaults():
        got = outputs()
    for one, two in zip(expected, got, strict=True):
        assert one.dtype == two.dtype and torch.equal(one, two)
