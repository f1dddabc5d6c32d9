"""The CPU kernels against float64 torch at the paper's sizes and temperatures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from psl.losses import PairwiseSoftmaxLoss, pairwise_softmax_loss
from psl.scoring import sampled_loss

kernels = pytest.importorskip("psl.kernels", reason="numba is missing")


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


@pytest.mark.parametrize("activation", list(kernels.TERMS))
@pytest.mark.parametrize("tau", [0.005, 0.025, 0.1, 0.25, 1.0])
@pytest.mark.parametrize("dim", [24, 64])
def test_value_and_gradients(activation: str, tau: float, dim: int) -> None:
    users, items, positive, negative = tables(dim=dim)
    value, grad_users, grad_items = kernels.pairwise_softmax(
        users, items, positive, negative, tau, activation
    )
    u, v = users.double().requires_grad_(), items.double().requires_grad_()
    scores = u @ v.T
    rows = pairwise_softmax_loss(
        scores.gather(1, positive[:, None])[:, 0],
        scores.gather(1, negative),
        tau,
        activation,
        reduction="none",
    )
    rows.mean().backward()
    # A rounding of 6e-8 in the score is 6e-8 / tau in a term: about 1e-5 at tau = .005.
    assert torch.allclose(value.double(), rows.detach(), rtol=2e-6, atol=2e-7 / tau)
    for got, expected in ((grad_users, u.grad), (grad_items, v.grad)):
        assert expected is not None
        error = (got.double() - expected).abs().max() / expected.abs().max()
        assert error < 1e-5 if tau >= 0.025 else error < 5e-5


def test_exponential() -> None:
    x = np.concatenate([np.linspace(-86, 87, 20001), np.linspace(-1, 1, 2001)]).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    got = np.array([kernels._exp(t) for t in x], dtype=np.float64)
    assert np.all(np.abs(got / exact - 1) < 1e-7 * (2 + np.abs(x)))


def test_logarithm() -> None:
    x = np.concatenate([np.geomspace(1e-7, 1e7, 20001), np.linspace(0.5, 2, 2001)])
    exact = np.log(x.astype(np.float32).astype(np.float64))
    got = np.array([kernels._log(t) for t in x.astype(np.float32)], dtype=np.float64)
    assert np.all(np.abs(got - exact) < 2e-7 * np.maximum(np.abs(exact), 1))


def test_the_same_threads_give_the_same_bits_and_others_the_same_numbers() -> None:
    inputs = tables()
    before, results = torch.get_num_threads(), {}
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            out = kernels.pairwise_softmax(*inputs, 0.1, "relu")
            if threads in results:
                assert all(torch.equal(a, b) for a, b in zip(out, results[threads], strict=True))
            results[threads] = out
    finally:
        torch.set_num_threads(before)
    for one, two in zip(results[1], results[2], strict=True):
        assert torch.allclose(one, two, rtol=1e-5, atol=1e-8)


def test_tables_need_not_be_contiguous() -> None:
    users, items, positive, negative = tables()
    wide = torch.cat([items, items], dim=1)[:, : items.shape[1]]
    loss = PairwiseSoftmaxLoss(0.1)
    straight = sampled_loss(users, items, positive, negative, loss)
    assert torch.equal(
        sampled_loss(users, wide, positive, negative.T.contiguous().T, loss), straight
    )


def test_every_activation_of_the_module_has_a_kernel() -> None:
    from psl.activations import ACTIVATIONS

    assert set(kernels.TERMS) == set(ACTIVATIONS)
    for name, term in kernels.TERMS.items():
        for d in (-0.9, -0.3, 0.0, 0.4, 0.9):
            x = torch.tensor(d, dtype=torch.float64, requires_grad=True)
            value = ACTIVATIONS[name].log(x)
            value.backward()
            h, slope = term(np.float32(d))
            assert math.isclose(h, float(value.detach()), rel_tol=1e-6, abs_tol=3e-7)
            assert math.isclose(slope, float(x.grad), rel_tol=2e-6)
