"""PSL as distributionally robust BPR: the KL ball around the uniform distribution over items.

For one positive with item losses ``l_j = log sigma(d_j)`` and ``p`` uniform over the ``I`` items,
Theorem 4.2 reads

``sup { E_q[l] : KL(q || p) <= eta } = min over tau >= 0 of  tau log E_p[exp(l / tau)] + tau eta``,

attained by ``q_j`` proportional to ``exp(l_j / tau*)``.  A temperature of 0 stands for its limit:
all mass on the largest losses.  All functions are batched: ``losses`` has shape ``(..., I)``, radii
and temperatures have shape ``(...)``.  Radii are in nats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "dual_value",
    "radius_for_temperature",
    "saturation_radius",
    "temperature_for_radius",
    "worst_case",
]


def worst_case(losses: Tensor, tau: Tensor | float) -> Tensor:
    """Return the worst-case distribution ``q`` proportional to ``exp(l / tau)``, shape (..., I).

    At ``tau = 0`` it is uniform over the maximisers of ``l``.

    Raises
    ------
    ValueError
        If a temperature is negative.
    """
    return torch.softmax(_tilt(losses, _like(tau, losses)), dim=-1)


def dual_value(losses: Tensor, eta: Tensor | float, tau: Tensor | float) -> Tensor:
    """Return ``tau log mean exp(l / tau) + tau eta`` (Lemma A.3), shape (...).

    An upper bound of the constrained problem for every ``tau >= 0``, exact at the minimiser; at
    ``tau = 0`` it is ``max l``.

    Raises
    ------
    ValueError
        If a temperature is negative.
    """
    t = _like(tau, losses)
    log_mean = torch.logsumexp(_tilt(losses, t), dim=-1) - math.log(losses.shape[-1])
    return losses.amax(dim=-1) + t * (log_mean + _like(eta, losses))


def radius_for_temperature(losses: Tensor, tau: Tensor | float) -> Tensor:
    """Return ``KL(q_tau || uniform)``, the radius whose optimal multiplier is ``tau``, (...).

    At ``tau = 0`` it is the :func:`saturation_radius`.

    Raises
    ------
    ValueError
        If a temperature is negative.
    """
    log_q = torch.log_softmax(_tilt(losses, _like(tau, losses)), dim=-1)
    # Where q is 0 its logarithm is -inf, and 0 log 0 is 0.
    return (log_q.exp() * log_q.clamp(min=-1e30)).sum(dim=-1) + math.log(losses.shape[-1])


def saturation_radius(losses: Tensor) -> Tensor:
    """Return ``log(I / #maximisers)``: from here on the supremum is ``max l``, shape (...)."""
    at_max = (losses == losses.amax(dim=-1, keepdim=True)).sum(dim=-1)
    return math.log(losses.shape[-1]) - at_max.to(losses.dtype).log()


def temperature_for_radius(losses: Tensor, eta: Tensor | float, iterations: int = 64) -> Tensor:
    """Return the optimal multiplier ``tau*(eta)`` by bisection on ``log tau``, shape (...).

    ``KL(q_tau || uniform)`` decreases in ``tau``, so the root is unique.  At and beyond the
    saturation radius the multiplier is 0; for constant losses it is 0 as well.  Differentiable in
    the losses and in the radius (implicit function theorem).

    Raises
    ------
    ValueError
        If a radius is not positive, or a loss is not finite: a small ball then holds no
        distribution of finite expectation, and no multiplier is optimal.
    """
    eta = _like(eta, losses)
    if not bool((eta > 0).all()):
        raise ValueError("the radius eta must be positive")
    if not bool(torch.isfinite(losses).all()):
        raise ValueError("the losses must be finite")
    eta = eta.expand(losses.shape[:-1])
    with torch.no_grad():
        scale = (losses.amax(dim=-1) - losses.amin(dim=-1)).clamp(
            min=torch.finfo(losses.dtype).tiny
        )
        low, high = scale.log() - 30, scale.log() + 30
        for _ in range(iterations):
            middle = (low + high) / 2
            too_far = radius_for_temperature(losses, middle.exp()) > eta
            low, high = torch.where(too_far, middle, low), torch.where(too_far, high, middle)
        tau = ((low + high) / 2).exp()
        saturated = eta >= saturation_radius(losses)
    if torch.is_grad_enabled() and (losses.requires_grad or eta.requires_grad):
        # One Newton step moves the value by nothing and carries the derivative of the root:
        # d KL / d tau = -Var_q(l) / tau^3.
        tau = tau.masked_fill(saturated, 1)
        q = worst_case(losses, tau).detach()
        mean = (q * losses.detach()).sum(dim=-1, keepdim=True)
        slope = (q * (losses.detach() - mean) ** 2).sum(dim=-1) / tau**3
        slope = slope.masked_fill(saturated, 1)
        step = (radius_for_temperature(losses, tau) - eta) / slope
        tau = tau + (step - step.detach()).masked_fill(saturated, 0)
    return torch.where(saturated, torch.zeros_like(tau), tau)


def _like(value: Tensor | float, losses: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=losses.dtype, device=losses.device)


def _tilt(losses: Tensor, tau: Tensor) -> Tensor:
    """Return ``(l - max l) / tau``, and its limit (0 at the maximisers, else -inf) at 0."""
    if bool((tau < 0).any()):
        raise ValueError("a temperature must not be negative")
    below = losses - losses.amax(dim=-1, keepdim=True)
    column = tau.unsqueeze(-1)
    limit = torch.zeros_like(below).masked_fill(below < 0, -math.inf)
    return torch.where(column > 0, below / column.masked_fill(column == 0, 1), limit)
