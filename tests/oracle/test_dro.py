"""The closed form of the worst case against a conic solver and a one-dimensional dual."""

from __future__ import annotations

import math
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from psl import dro
from psl.activations import get_activation

TIGHT = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}


def instance(seed: int, size: int, activation: str = "relu") -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    d = 2 * torch.rand(size, generator=g, dtype=torch.float64) - 1
    return get_activation(activation).log(d)


def solve(losses: np.ndarray, eta: float) -> float:
    q = cp.Variable(len(losses), nonneg=True)
    uniform = np.full(len(losses), 1 / len(losses))
    problem = cp.Problem(
        cp.Maximize(losses @ q), [cp.sum(q) == 1, cp.sum(cp.rel_entr(q, uniform)) <= eta]
    )
    return float(problem.solve(solver=cp.CLARABEL, **TIGHT))


@pytest.mark.parametrize("activation", ["exp", "tanh", "atan", "relu"])
@pytest.mark.parametrize("size", [5, 60])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.95])
def test_against_the_solver(activation: str, size: int, share: float) -> None:
    losses = instance(size, size, activation)
    eta = share * float(dro.saturation_radius(losses))
    tau = dro.temperature_for_radius(losses, eta)
    value = float(dro.worst_case(losses, tau) @ losses)
    span = float(losses.max() - losses.min())
    assert value == pytest.approx(solve(losses.numpy(), eta), abs=1e-6 * span)
    # Primal and dual meet, and the dual's minimiser is where the bisection says.
    assert float(dro.dual_value(losses, eta, tau)) == pytest.approx(value, abs=1e-10 * span)
    assert float(dro.radius_for_temperature(losses, tau)) == pytest.approx(eta, rel=1e-9)
    found = minimize_scalar(
        lambda t: float(dro.dual_value(losses, eta, math.exp(t))),
        bounds=(math.log(span) - 12, math.log(span) + 12),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert float(found.fun) == pytest.approx(value, abs=1e-9 * span)
    assert math.exp(found.x) == pytest.approx(float(tau), rel=1e-3)


@pytest.mark.parametrize("copies", [1, 3])
def test_saturation(copies: int) -> None:
    """Beyond log(I/m) all mass lies on the m maximisers, and the value is max l."""
    losses = torch.cat([instance(1, 20), instance(1, 20).max().repeat(copies - 1)])
    full = float(dro.saturation_radius(losses))
    assert full == pytest.approx(math.log(len(losses) / copies))
    for eta in (full, full + 1):
        tau = dro.temperature_for_radius(losses, eta)
        assert float(tau) == 0
        q = dro.worst_case(losses, tau)
        assert torch.equal(q > 0, losses == losses.max()) and float(q.sum()) == pytest.approx(1)
        assert float(dro.dual_value(losses, eta, tau)) == float(losses.max())
        assert float(dro.radius_for_temperature(losses, tau)) == pytest.approx(full)
    assert float(dro.worst_case(losses, 1e-9).max()) == pytest.approx(1 / copies)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_constant_losses_have_nothing_to_shift(dtype: torch.dtype) -> None:
    losses = torch.full((1007,), 0.3, dtype=dtype)
    assert float(dro.temperature_for_radius(losses, 0.5)) == 0
    assert torch.allclose(dro.worst_case(losses, 0.0), torch.full_like(losses, 1 / 1007))
    for tau in (0.0, 1e-30, 0.1, 10.0):
        assert float(dro.radius_for_temperature(losses, tau)) == 0


@pytest.mark.parametrize(("tau", "digits"), [(0.1, 1e-6), (3.0, 1e-4), (30.0, 1e-3), (100.0, 1e-2)])
def test_a_high_temperature_keeps_the_radius_in_float32(tau: float, digits: float) -> None:
    """It is about Var(l) / (2 tau^2): next to nothing beside log I, from which it was taken."""
    g = torch.Generator().manual_seed(0)
    losses = 0.2 * torch.randn(4, 1000, generator=g)
    exact = dro.radius_for_temperature(losses.double(), tau)
    single = dro.radius_for_temperature(losses, tau).double()
    assert ((single - exact).abs() < digits * exact).all()
    assert torch.allclose(exact, losses.double().var(dim=1) / (2 * tau**2), rtol=0.1) or tau < 1


def test_a_radius_has_a_gradient_where_some_items_have_no_mass() -> None:
    losses = torch.tensor([0.0, -math.inf, -1.0, -200.0], requires_grad=True)
    tau = torch.tensor([0.0, 0.3, 1e-40])
    radius = dro.radius_for_temperature(losses, tau)
    q = torch.softmax(torch.tensor([0.0, -1 / 0.3]), 0)
    assert radius.tolist() == pytest.approx(
        [math.log(4), float((q * (4 * q).log()).sum()), math.log(4)], rel=1e-6
    )
    (slope,) = torch.autograd.grad(radius.sum(), losses)
    assert torch.isfinite(slope).all() and float(slope.sum()) == pytest.approx(0, abs=1e-6)


def test_a_batch_is_its_rows() -> None:
    losses = torch.stack([instance(s, 30) for s in range(4)]).view(2, 2, 30)
    eta = torch.tensor([[0.1, 0.5], [1.0, 9.0]], dtype=torch.float64)
    tau = dro.temperature_for_radius(losses, eta)
    assert tau.shape == (2, 2) and float(tau[1, 1]) == 0
    for i in range(2):
        for j in range(2):
            assert torch.equal(dro.temperature_for_radius(losses[i, j], eta[i, j]), tau[i, j])


def test_a_larger_ball_has_a_lower_temperature() -> None:
    losses = instance(3, 50)
    eta = torch.linspace(0.01, float(dro.saturation_radius(losses)), 40, dtype=torch.float64)
    tau = dro.temperature_for_radius(losses.expand(40, -1), eta)
    assert (tau.diff() < 0).all()


def hard(name: str) -> torch.Tensor:
    g = torch.Generator().manual_seed(6)
    losses = torch.rand(40, 50, generator=g, dtype=torch.float64)
    if name == "two tops":  # KL has a plateau where both count as one
        losses[:, 0] = losses.amax(1) + 0.1
        losses[:, 1] = losses[:, 0] - torch.logspace(-9, -1, 40, dtype=torch.float64)
    elif name == "held":  # relu below its domain: nearly all of a row at log eps
        losses[:, 3:] = -15.94
    elif name == "scales":
        losses = -torch.logspace(-6, 2, 50, dtype=torch.float64).repeat(40, 1)
    elif name == "two":
        losses = losses[:, :2]
    return losses


@pytest.mark.parametrize("name", ["spread", "two tops", "held", "scales", "two"])
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_the_multiplier_has_the_radius(name: str, dtype: torch.dtype, digits: float) -> None:
    """From tiny balls to the edge of saturation; the bisection of before as the second opinion."""
    losses = hard(name).to(dtype)
    full = dro.saturation_radius(losses)
    for share in (1e-3, 0.05, 0.3, 0.6, 0.9, 0.99, 0.9999):
        eta = share * full
        tau = dro.temperature_for_radius(losses, eta)
        radius = dro.radius_for_temperature(losses.double(), tau.double())
        assert torch.allclose(radius, eta.double(), rtol=digits)
        exact = bisection(losses.double(), eta.double())
        # Near saturation the radius hardly says where the temperature is.
        room = digits if share < 0.9 else 1e3 * digits
        value = dro.dual_value(losses.double(), eta.double(), tau.double())
        best = dro.dual_value(losses.double(), eta.double(), exact)
        assert (value - best).abs().max() < digits**2 + 1e-13  # flat at its minimum
        assert dtype == torch.float32 or torch.allclose(tau, exact, rtol=room)


def bisection(losses: torch.Tensor, eta: torch.Tensor) -> torch.Tensor:
    scale = (losses.amax(dim=-1) - losses.amin(dim=-1)).log()
    low, high = scale - 30, scale + 30
    for _ in range(80):
        middle = (low + high) / 2
        too_far = dro.radius_for_temperature(losses, middle.exp()) > eta
        low, high = torch.where(too_far, middle, low), torch.where(too_far, high, middle)
    return high.exp()


def test_the_unchecked_temperature_is_the_same_and_lets_a_flaw_through() -> None:
    losses = torch.stack([instance(s, 30) for s in range(4)])
    eta = torch.tensor([0.1, 0.5, 1.0, 9.0], dtype=torch.float64)
    tau = dro.temperature_for_radius(losses, eta, check=False)
    assert torch.equal(tau, dro.temperature_for_radius(losses, eta))
    losses[1, 7] = math.nan
    flawed = dro.temperature_for_radius(losses, eta, check=False)
    assert flawed.isnan().tolist() == [False, True, False, False]
    assert torch.equal(flawed[[0, 2, 3]], tau[[0, 2, 3]])


def test_envelope() -> None:
    """The gradient of the supremum in l is the worst case itself, tau* held fixed or not."""
    losses = instance(4, 12).requires_grad_()
    tau = dro.temperature_for_radius(losses, 0.4)
    (slope,) = torch.autograd.grad(dro.dual_value(losses, 0.4, tau), losses)
    q = dro.worst_case(losses, tau).detach()
    assert torch.allclose(slope, q, atol=1e-12)
    flat, step = losses.detach(), 1e-6
    for k in range(len(flat)):
        ends = []
        for side in (step, -step):
            moved = flat.clone()
            moved[k] += side
            t = dro.temperature_for_radius(moved, 0.4)
            ends.append(float(dro.dual_value(moved, 0.4, t)))
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(q[k]), abs=1e-8)


def test_at_saturation_gradients_are_finite() -> None:
    losses = instance(5, 9).requires_grad_()
    (slope,) = torch.autograd.grad(dro.dual_value(losses, 50.0, 0.0), losses)
    assert torch.equal(slope, (losses == losses.max()).double())


@pytest.mark.parametrize("eta", [1e-8, 1e-6, 1e-2, 1.0])
def test_a_small_radius_keeps_its_digits_in_float32(eta: float) -> None:
    """The temperature is large there, and log mean exp would be a difference of two near ones."""
    g = torch.Generator().manual_seed(0)
    losses = torch.log1p(2 * torch.rand(4, 1000, generator=g, dtype=torch.float64) - 1)
    tau = dro.temperature_for_radius(losses, eta)
    exact, single = dro.dual_value(losses, eta, tau), dro.dual_value(losses.float(), eta, tau)
    assert torch.allclose(single.double(), exact, rtol=0, atol=5e-7)
    assert (single.double() > losses.mean(dim=-1)).all()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: dro.worst_case(x, 0.3),
        lambda x: dro.dual_value(x, 0.5, 0.3),
        lambda x: dro.radius_for_temperature(x, 0.3),
        lambda x: dro.temperature_for_radius(x, 0.5),
        dro.saturation_radius,
    ],
)
def test_half_precision_is_raised_and_whole_numbers_refused(function: Any) -> None:
    losses = torch.tensor([-0.5, 0.25, 0.125])
    for dtype in (torch.float16, torch.bfloat16):
        assert torch.equal(function(losses.to(dtype)), function(losses))
    with pytest.raises(ValueError, match="floating point"):
        function(torch.tensor([1, 2, 3]))


def test_bad_input() -> None:
    losses = instance(0, 4)
    for eta in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="eta must be positive and finite"):
            dro.temperature_for_radius(losses, eta)
    with pytest.raises(ValueError, match="finite"):
        dro.temperature_for_radius(torch.tensor([0.0, -math.inf]), 0.1)
    for call in (dro.worst_case, dro.radius_for_temperature):
        with pytest.raises(ValueError, match="negative"):
            call(losses, -0.1)
