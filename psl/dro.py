"""PSL as distributionally robust BPR: the KL ball around the uniform distribution over items.

For one positive with item losses ``l_j = log sigma(d_j)`` and ``p`` uniform over the ``I`` items,
Theorem 4.2 reads

``sup { E_q[l] : KL(q || p) <= eta } = min over tau >= 0 of  tau log E_p[exp(l / tau)] + tau eta``,

attained by ``q_j`` proportional to ``exp(l_j / tau*)``.  A temperature of 0 stands for its limit:
all mass on the largest losses.  All functions are batched: ``losses`` has shape ``(..., I)`` and is
floating point, where half precision is raised to float32; radii and temperatures have shape
``(...)``.  Radii are in nats.  While ``torch.compile`` traces, the values of arguments are not
checked: nobody can be asked for them then.
"""

import math

import torch
from torch import Tensor
from torch.library import custom_op

from psl.ops import upcast_half
from psl.ops.once_differentiable import once_differentiable
from psl.ops.precision import check_no_tangent

__all__ = [
    "dual_value",
    "radius_for_temperature",
    "saturation_radius",
    "temperature_for_radius",
    "worst_case",
]

MOST_STEPS = 64  # of the solver, which settles long before


def worst_case(losses: Tensor, tau: Tensor | float) -> Tensor:
    """Return the worst-case distribution ``q`` proportional to ``exp(l / tau)``, shape (..., I).

    At ``tau = 0`` it is uniform over the maximisers of ``l``.  Raises ValueError below 0.
    """
    losses = upcast_half(losses, "losses")
    return torch.softmax(_tilt(losses, _temperature(tau, losses)), dim=-1)


def dual_value(
    losses: Tensor, eta: Tensor | float, tau: Tensor | float, *, check: bool = True
) -> Tensor:
    """Return ``tau log mean exp(l / tau) + tau eta``, the dual of Lemma A.3, shape (...).

    An upper bound of the constrained problem for every ``tau >= 0``, exact at the minimiser; at
    ``tau = 0`` it is ``max l``.  Raises ValueError if a temperature is negative; without ``check``
    no GPU is waited for, and one that is negative counts as the limit at 0.
    """
    losses = upcast_half(losses, "losses")
    t = _temperature(tau, losses) if check else _like(tau, losses)
    x = _tilt(losses, t)
    log_mean = _log_mean(x, torch.logsumexp(x, dim=-1))
    return losses.amax(dim=-1) + t * (log_mean + _like(eta, losses))


def radius_for_temperature(losses: Tensor, tau: Tensor | float) -> Tensor:
    """Return ``KL(q_tau || uniform)``, the radius whose optimal multiplier is ``tau``, (...).

    At ``tau = 0`` it is the :func:`saturation_radius`.  Raises ValueError below 0.
    """
    losses = upcast_half(losses, "losses")
    t = _temperature(tau, losses)
    radius, _ = _radius_and_variance(_tilt(losses, t.masked_fill(t == 0, 1)))
    return torch.where(t == 0, saturation_radius(losses), radius)


def saturation_radius(losses: Tensor) -> Tensor:
    """Return ``log(I / #maximisers)``: from here on the supremum is ``max l``, shape (...)."""
    losses = upcast_half(losses, "losses")
    at_max = (losses == losses.amax(dim=-1, keepdim=True)).sum(dim=-1)
    return math.log(losses.shape[-1]) - at_max.to(losses.dtype).log()


def temperature_for_radius(losses: Tensor, eta: Tensor | float, *, check: bool = True) -> Tensor:
    """Return the optimal multiplier ``tau*(eta)``, shape (...).

    ``KL(q_tau || uniform)`` decreases in ``tau``, so the root is unique.  At and beyond the
    saturation radius the multiplier is 0; for constant losses it is 0 as well.  Differentiable in
    the losses and in the radius (implicit function theorem), once.

    It is held within a factor of ``e^30`` of ``max l - min l``.  So a radius below some 1e-26 is
    not met, nor one that asks for less than 1e-13 of that difference, as where the second largest
    loss is nearer to the largest: :func:`radius_for_temperature` says which radius is.

    Parameters
    ----------
    losses : Tensor, shape (..., I)
    eta : Tensor of shape (...), or float
        Radii in nats, positive.
    check : bool
        Whether the ValueErrors below are looked for.  Without it a row with a loss that is not a
        number gets a temperature that is not a number: a diverging run shows.

    Raises
    ------
    ValueError
        If a radius is not positive and finite, or a loss is not finite: a small ball then holds no
        distribution of finite expectation, and no multiplier is optimal.
    RuntimeError
        If a second derivative is asked for, or one in forward mode.

    Notes
    -----
    The root is found by Newton's method on ``log KL`` as a function of ``log tau``, which is nearly
    a straight line, kept in an interval that is halved where a step would leave it: 4 to 8 steps in
    common cases, 20 near saturation.  It stops when every row has settled, which on a GPU means
    waiting for the device at each step; a settled row does not move any more, so that its result
    does not depend on the rest of the batch.
    """
    losses = upcast_half(losses, "losses")
    eta = _like(eta, losses).expand(losses.shape[:-1])
    if check:
        _check((eta > 0) & torch.isfinite(eta), "the radius eta must be positive and finite")
        _check(torch.isfinite(losses), "the losses must be finite")
    check_no_tangent(losses)
    with torch.no_grad():
        saturated = eta >= saturation_radius(losses)
        tau = _solve(losses - losses.amax(dim=-1, keepdim=True), eta, saturated).exp()
    if torch.is_grad_enabled() and (losses.requires_grad or eta.requires_grad):
        # One Newton step moves the value by nothing and carries the derivative of the root:
        # d KL / d tau = -Var_q(l / tau) / tau.
        tau = tau.masked_fill(saturated, 1)
        radius, variance = _radius_and_variance(_tilt(losses, tau))
        slope = (variance.detach() / tau).masked_fill(saturated, 1)
        step = (radius - eta) / slope
        step = once_differentiable(step, "the optimal temperature has a first derivative only")
        tau = tau + (step - step.detach()).masked_fill(saturated, 0)
    return torch.where(saturated, torch.zeros_like(tau), tau)


# An operator, which torch.compile calls whole: how many steps are taken depends on the numbers.
@custom_op("psl::log_temperature", mutates_args=())
def _solve(below: Tensor, eta: Tensor, done: Tensor) -> Tensor:
    """Return ``log tau`` at which the radius is ``eta``; rows that are ``done`` are left alone.

    ``below`` are the losses less their maximum, shape (..., I).
    """
    info = torch.finfo(below.dtype)
    scale = (-below.amin(dim=-1)).clamp(min=info.tiny).log()
    low, high = scale - 30, scale + 30
    # At high temperatures KL = Var(l) / (2 tau^2).
    variance = ((below - below.mean(dim=-1, keepdim=True)) ** 2).mean(dim=-1)
    at = ((variance / (2 * eta)).log() / 2).clamp(min=low, max=high)
    for _ in range(MOST_STEPS):
        radius, variance = _radius_and_variance(below / at.exp().unsqueeze(-1))
        low = torch.where(radius > eta, at, low)
        high = torch.where(radius > eta, high, at)
        # d log KL / d log tau = -Var_q(l / tau) / KL
        step = radius * (radius / eta).log() / variance
        settled = step.abs() < info.eps**0.5  # what is left is about the square of the last step
        safe = settled | ((at + step > low) & (at + step < high))
        at = torch.where(done, at, torch.where(safe, at + step, (low + high) / 2))
        # A radius that is mostly rounding, as a tiny one in float32, makes steps that never settle.
        done = done | settled | (high - low < info.eps**0.5) | at.isnan()
        if bool(done.all()):
            break
    return at


_solve.register_fake(lambda below, eta, done: torch.empty_like(eta))


def _radius_and_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``KL(q || uniform)`` and ``Var_q(x)`` for ``q`` proportional to ``exp(x)``, (...).

    ``x`` is ``(l - max l) / tau``, shape (..., I).
    """
    x = x.clamp(min=torch.finfo(x.dtype).min)  # where q is 0, so is q x
    q = x.exp()
    total = q.sum(dim=-1)
    part = q * x
    first = part.sum(dim=-1) / total
    return first - _log_mean(x, total.log()), (part * x).sum(dim=-1) / total - first**2


def _log_mean(x: Tensor, log_sum: Tensor) -> Tensor:
    """Return ``log mean exp(x)``, shape (...), where the log of the sum is known."""
    # At a high temperature every exp(x) is near 1, and the digits are in the difference.
    mean = torch.expm1(x).mean(dim=-1)
    far = log_sum - math.log(x.shape[-1])
    return torch.where(mean > -0.5, torch.log1p(mean.clamp(min=-0.5)), far)


def _like(value: Tensor | float, losses: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=losses.dtype, device=losses.device)


def _temperature(tau: Tensor | float, losses: Tensor) -> Tensor:
    t = _like(tau, losses)
    _check(~(t < 0), "a temperature must not be negative")
    return t


def _check(holds: Tensor, words: str) -> None:
    if not torch.compiler.is_compiling() and not bool(holds.all()):
        raise ValueError(words)


def _tilt(losses: Tensor, tau: Tensor) -> Tensor:
    """Return ``(l - max l) / tau``, and its limit (0 at the maximisers, else -inf) at 0."""
    below = losses - losses.amax(dim=-1, keepdim=True)
    column = tau.unsqueeze(-1)
    limit = torch.zeros_like(below).masked_fill(below < 0, -math.inf)
    return torch.where(column > 0, below / column.masked_fill(column == 0, 1), limit)
