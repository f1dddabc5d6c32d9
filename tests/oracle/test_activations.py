"""Every surrogate against 50 digits of mpmath, in value and slope, on [-1, 1] and beyond."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from psl.activations import ACTIVATIONS, get_activation
from psl.errors import UnknownNameError

# sigma, and sigma' written by hand: neither shares a line with the module.
DEFINITION = {
    "exp": (mpmath.exp, mpmath.exp),
    "tanh": (lambda d: 1 + mpmath.tanh(d), lambda d: mpmath.sech(d) ** 2),
    "atan": (lambda d: 1 + mpmath.atan(d), lambda d: 1 / (1 + d**2)),
    "relu": (lambda d: 1 + d, lambda d: mpmath.mpf(1)),
    "softplus": (lambda d: 1 + mpmath.exp(d), mpmath.exp),
}


def test_the_oracle_covers_the_registry() -> None:
    assert set(DEFINITION) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_value_and_slope(name: str, dtype: torch.dtype, digits: float) -> None:
    activation = get_activation(name)
    low = max(activation.domain, -3.0)
    grid = torch.linspace(low + 0.02, 3.0, 401, dtype=dtype, requires_grad=True)
    value = activation.log(grid)
    (slope,) = torch.autograd.grad(value.sum(), grid)
    sigma, dsigma = DEFINITION[name]
    with mpmath.workdps(50):
        for d, v, g in zip(grid.tolist(), value.tolist(), slope.tolist(), strict=True):
            x = mpmath.mpf(d)
            # A rounded 1 + x limits the logarithm near the edge of the domain to a few digits.
            room = digits / min(1.0, float(sigma(x)))
            assert abs(v - mpmath.log(sigma(x))) <= room * max(1, abs(v))
            assert abs(g - dsigma(x) / sigma(x)) <= room * max(1, abs(g))


EVERYWHERE = [name for name, a in ACTIVATIONS.items() if a.domain == -math.inf]


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 5e-16), (torch.float32, 2e-7)])
def test_no_digit_is_lost_far_from_zero(name: str, dtype: torch.dtype, digits: float) -> None:
    """Inner products and the inside form reach |d| = 100: sigma may round to 0, its log not."""
    activation = get_activation(name)
    d = torch.linspace(-100, 100, 801, dtype=dtype, requires_grad=True)
    value = activation.log(d)
    (slope,) = torch.autograd.grad(value.sum(), d)
    written = activation.slope(d.detach())
    sigma, dsigma = DEFINITION[name]
    with mpmath.workdps(120):
        for x, v, *slopes in zip(*(t.tolist() for t in (d, value, slope, written)), strict=True):
            log = mpmath.log(sigma(mpmath.mpf(x)))
            assert abs(v - log) <= digits * max(1, abs(log))
            exact = dsigma(mpmath.mpf(x)) / sigma(mpmath.mpf(x))
            assert all(abs(g - exact) <= digits * exact + 1e-37 for g in slopes)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n not in EVERYWHERE])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_below_its_domain_it_is_held_at_the_machine_epsilon(name: str, dtype: torch.dtype) -> None:
    activation = get_activation(name)
    d = torch.tensor([activation.domain - 0.01, -40.0], dtype=dtype, requires_grad=True)
    value = activation.log(d)
    (slope,) = torch.autograd.grad(value.sum(), d)
    assert value.tolist() == pytest.approx([math.log(torch.finfo(dtype).eps)] * 2, rel=1e-6)
    assert not slope.any() and not activation.slope(d.detach()).any()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_finite_everywhere(name: str, dtype: torch.dtype) -> None:
    edge = [-50.0, -1.6, -math.tan(1.0), -1.5, -1.0, -0.999, 0.0, 1.0, 50.0]
    d = torch.tensor(edge, dtype=dtype, requires_grad=True)
    value = get_activation(name).log(d)
    (slope,) = torch.autograd.grad(value.sum(), d)
    assert torch.isfinite(value).all() and torch.isfinite(slope).all()
    assert (value[1:] >= value[:-1]).all(), "log sigma does not decrease"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_all_but_softplus_lie_between_step_and_exponential(name: str) -> None:
    """The hypothesis of Lemma 4.1; and what is called the edge of a domain is one."""
    activation = get_activation(name)
    d = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    sigma = activation(d)
    between = bool(((sigma <= d.exp() + 1e-15) & (sigma >= (d >= 0).double() - 1e-15)).all())
    assert between is (name != "softplus")
    if math.isfinite(activation.domain):
        with mpmath.workdps(30):
            assert abs(DEFINITION[name][0](mpmath.mpf(activation.domain))) < 1e-15


def test_unknown_name_lists_the_names_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'relu'.*exp, tanh, atan"):
        get_activation("rellu")
