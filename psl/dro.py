"""PSL as distributionally robust BPR: the KL ball around the uniform distribution over items.

For one positive with item losses ``l_j = log sigma(d_j)`` and a base distribution ``p`` over items
(uniform unless given), Theorem 4.2 reads

``sup { E_q[l] : KL(q || p) <= eta } = min over tau > 0 of  tau log E_p[exp(l / tau)] + tau eta``,

attained by ``q_j`` proportional to ``p_j exp(l_j / tau*)``.  All functions are batched: ``losses``
has shape ``(..., I)``; radii and temperatures have shape ``(...)``.  Radii are in nats.
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
    """Return the worst-case distribution ``q`` proportional to ``exp(l / tau)``, shape (..., I)."""
    return torch.softmax(losses / _column(tau, losses), dim=-1)


def dual_value(losses: Tensor, eta: Tensor | float, tau: Tensor | float) -> Tensor:
    """Return ``tau log mean exp(l / tau) + tau eta`` (Lemma A.3), shape (...).

    An upper bound of the constrained problem for every ``tau > 0``, exact at the minimiser.
    """
    t = torch.as_tensor(tau, dtype=losses.dtype, device=losses.device)
    log_mean = torch.logsumexp(losses / _column(t, losses), dim=-1) - math.log(losses.shape[-1])
    return t * (log_mean + torch.as_tensor(eta, dtype=losses.dtype, device=losses.device))


def radius_for_temperature(losses: Tensor, tau: Tensor | float) -> Tensor:
    """Return ``KL(q_tau || uniform)``, the radius whose optimal multiplier is ``tau``, (...)."""
    log_q = torch.log_softmax(losses / _column(tau, losses), dim=-1)
    return (log_q.exp() * log_q.clamp(min=-1e30)).sum(dim=-1) + math.log(losses.shape[-1])


def saturation_radius(losses: Tensor) -> Tensor:
    """Return ``log(I / #maximisers)``: from here on the supremum is ``max l``, shape (...)."""
    at_max = (losses == losses.amax(dim=-1, keepdim=True)).sum(dim=-1)
    return math.log(losses.shape[-1]) - at_max.to(losses.dtype).log()


def temperature_for_radius(losses: Tensor, eta: Tensor | float, iterations: int = 200) -> Tensor:
    """Return the optimal multiplier ``tau*(eta)`` by bisection on ``log tau``, shape (...).

    ``KL(q_tau || uniform)`` decreases in ``tau``, so the root is unique.  At and beyond the
    saturation radius the multiplier is 0; for constant losses it is 0 as well.

    Raises
    ------
    ValueError
        If a radius is not positive.
    """
    eta = torch.as_tensor(eta, dtype=losses.dtype, device=losses.device)
    if not bool((eta > 0).all()):
        raise ValueError("the radius eta must be positive")
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
    return torch.where(eta >= saturation_radius(losses), torch.zeros_like(tau), tau)


def _column(tau: Tensor | float, losses: Tensor) -> Tensor:
    return torch.as_tensor(tau, dtype=losses.dtype, device=losses.device).unsqueeze(-1)
