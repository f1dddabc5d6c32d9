"""Checks on distributional robustness: Theorem 4.2, Lemma A.3, Theorem A.4."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import scipy
import torch
from torch import Tensor

from companion.claims.subject import Subject, Verdict, check, decide
from psl import dro

__all__: list[str] = []


def _instances(subject: Subject, source: str, count: int = 20) -> tuple[Tensor, Tensor]:
    """Return item losses (count, 100) and radii (count,).

    The losses are log sigma of random differences, or plain normal numbers.
    """
    g, out, radii = torch.Generator().manual_seed(11), [], []
    for _ in range(count):
        d = 1.9 * torch.rand(100, generator=g, dtype=torch.float64) - 0.95
        normal = torch.randn(100, generator=g, dtype=torch.float64)
        losses = normal if source == "normal" else subject.log_sigma[source](d)
        out.append(losses)
        radii.append(0.05 + float(torch.rand(1, generator=g)) * 2)
    return torch.stack(out), torch.tensor(radii, dtype=torch.float64)


def _solved(subject: Subject, source: str) -> Iterator[tuple[Tensor, float, Tensor]]:
    """Yield losses, radius and the subject's temperature of each instance."""
    losses, radii = _instances(subject, source)
    return zip(losses, radii.tolist(), subject.temperature(losses, radii), strict=True)


def _dual(losses: np.ndarray, eta: float, tau: float) -> float:
    """Return ``tau eta + tau log E[exp(l / tau)]``, written down a second time."""
    top = losses.max()
    return float(top + tau * (eta + math.log(np.exp((losses - top) / tau).mean())))


@check
def dro_duality(subject: Subject, losses: str, tolerance: float) -> Verdict:
    """Solve the dual with scipy, compare with the worst case built from our temperature."""
    worst = 0.0
    for values, eta, tau in _solved(subject, losses):
        q = dro.worst_case(values, tau)
        best = scipy.optimize.minimize_scalar(
            lambda t, x=values, e=eta: _dual(x.numpy(), e, math.exp(t)),
            bounds=(-12, 6),
            method="bounded",
            options={"xatol": 1e-9},
        )
        kl = float((q * (q * len(q)).log()).sum())
        gap = abs(float((q * values).sum()) - best.fun) / float(values.max() - values.min())
        worst = max(worst, gap, abs(kl - eta))
    return decide(worst <= tolerance, f"largest gap {worst:.1e} of the range, 20 instances")


@check
def phi_divergence_dual(subject: Subject, tolerance: float) -> Verdict:
    """Put phi = x log x into (A.4), minimise over mu, compare with the primal value."""
    worst = 0.0
    for values, eta, tau in _solved(subject, "relu"):
        t = float(tau)
        primal = float(dro.worst_case(values, tau) @ values)
        best = scipy.optimize.minimize_scalar(
            lambda mu, x=values, t=t: float((t * ((x - mu) / t - 1).exp()).mean()) + mu,
            bounds=(-20, 20),
            method="bounded",
            options={"xatol": 1e-10},
        )
        worst = max(worst, abs(best.fun + t * eta - primal))
    return decide(worst <= tolerance, f"largest gap {worst:.1e}, 20 instances")


@check
def penalised_problem(subject: Subject, tolerance: float) -> Verdict:
    """Compare E_q[l] - tau KL at the worst case, and at other q, with tau log E[exp(l/tau)]."""
    worst, beaten = 0.0, 0
    g = torch.Generator().manual_seed(19)
    for values, eta, tau in _solved(subject, "relu"):
        value = float(dro.dual_value(values, 0.0, tau))
        q = dro.worst_case(values, tau)
        # The radius that this q uses is eta, so the constrained optimum is the penalised one.
        at_q = float(q @ values) - float(tau) * eta
        worst = max(worst, abs(at_q - value))
        for _ in range(20):
            other = torch.softmax(torch.randn(100, generator=g, dtype=torch.float64), 0)
            kl = float((other * (other * 100).log()).sum())
            beaten += float(other @ values) - float(tau) * kl > value + tolerance
    holds = worst <= tolerance and beaten == 0
    return decide(holds, f"largest gap {worst:.1e}; {beaten} of 400 other distributions do better")


@check
def temperature_varies(subject: Subject, eta: float, ratio: float) -> Verdict:
    """Compare the optimal temperatures of 200 positives at one radius."""
    g = torch.Generator().manual_seed(23)
    centre = 0.6 * torch.rand(200, 1, generator=g, dtype=torch.float64) - 0.3
    width = 0.05 + 0.25 * torch.rand(200, 1, generator=g, dtype=torch.float64)
    noise = torch.randn(200, 100, generator=g, dtype=torch.float64)
    losses = subject.log_sigma["relu"]((centre + width * noise).clamp(-0.99, 1))
    tau = subject.temperature(losses, eta)
    found = float(tau.max() / tau.min())
    return decide(found > ratio, f"largest over smallest temperature {found:.1f}, 200 positives")


@check
def saturation(subject: Subject) -> Verdict:
    """Beyond log(I / maximisers) the temperature is 0 and the value max l."""
    values, _ = _instances(subject, "relu")
    edge = dro.saturation_radius(values)
    wrong = int((subject.temperature(values, edge - 0.01) <= 0).sum())
    wrong += int((subject.temperature(values, edge + 0.01) != 0).sum())
    wrong += sum(not math.isclose(e, math.log(values.shape[1])) for e in edge.tolist())
    return decide(wrong == 0, f"{wrong} of 60 comparisons fail")
