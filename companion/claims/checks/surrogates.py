"""Checks on the activations: Section 4.1, Lemma 4.1, Appendices A.3, C.2 and C.3."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from companion.claims.subject import Subject, Verdict, check, decide
from companion.reference import TAUS

__all__: list[str] = []


@check
def activation_formula(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Compare with numpy's own functions, on [-1, 1]."""
    formulas: dict[str, Callable[[Any], Any]] = {
        "exp": np.exp,
        "tanh": lambda d: np.tanh(d) + 1,
        "atan": lambda d: np.arctan(d) + 1,
        "relu": lambda d: np.maximum(d + 1, 0),
        "softplus": lambda d: np.exp(d) + 1,
    }
    formula = formulas[activation]
    d = np.linspace(-1, 1, 20001)[1:]
    ours = subject.log_sigma[activation](torch.from_numpy(d)).exp().numpy()
    error = float(np.abs(ours - formula(d)).max())
    return decide(error <= tolerance, f"largest difference {error:.1e} on 20,000 points")


@check
def between_step_and_exp(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Step <= sigma <= exp on [-1, 1]; the proof is in the chapter, this is its numerical check."""
    worst = _violation(subject, activation)
    return decide(worst <= tolerance, f"largest violation {max(worst, 0.0):.1e} on 20,001 points")


@check
def above_exp(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Sigma > exp everywhere on [-1, 1]: the hypothesis of Lemma 4.1 fails."""
    d = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    margin = float((subject.log_sigma[activation](d) - d).min())
    return decide(margin > tolerance, f"log sigma - d is at least {margin:.3f}")


def _violation(subject: Subject, activation: str) -> float:
    """Return by how much log sigma leaves its place between step and exp, on [-1, 1].

    Left of 0 the step asks that sigma is not negative.  A logarithm cannot show that, but it is
    held at that of the smallest ``1 + x``, and inside (-1, 1) no sigma may be that small.
    """
    d = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    log = subject.log_sigma[activation](d)
    if bool((log[1:-1] <= math.log(torch.finfo(d.dtype).eps) + 1e-9).any()):
        return math.inf
    return float(torch.maximum((log - d).max(), (-log[d >= 0]).max()))


@check
def advinfonce_is_double_exp(
    subject: Subject, tolerance: float, inner: Sequence[float] = TAUS
) -> Verdict:
    """Compare AdvInfoNCE's worst case with the loss of sigma = exp(exp), row by row.

    An adversary who pays ``lam`` a nat of divergence raises the mean of exp(d / tau) to
    ``lam log E exp(exp(d / tau) / lam)``.  A factor and a constant are free, and both temperatures.
    """
    g = torch.Generator().manual_seed(5)
    d = 2 * torch.rand(200, 100, generator=g, dtype=torch.float64) - 1
    closest = math.inf
    for tau, lam, outer in itertools.product(inner, TAUS, TAUS):
        worst_case = torch.logsumexp((subject.log_sigma["exp"](d) / tau).exp() / lam, 1)
        gap = worst_case - torch.logsumexp(d.exp() / outer, 1)
        closest = min(closest, float(gap.max() - gap.min()))
    words = f"{closest:.3f} nats at the temperatures where they are closest"
    return decide(closest <= tolerance, f"200 rows of random differences do not agree to {words}")


@check
def forms_agree(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Compare sigma(d)^(1/tau) with sigma(d/tau), in the log domain."""
    d, worst = torch.linspace(-1, 1, 2001, dtype=torch.float64), 0.0
    for tau in TAUS:
        outside = subject.log_sigma[activation](d) / tau
        inside = subject.log_sigma[activation](d / tau)
        worst = max(worst, float((outside - inside).abs().max() * tau))
    return decide(worst <= tolerance, f"largest difference {worst:.1e}, relative to 1/tau")


@check
def flatter_weights(subject: Subject, activation: str, tau: float) -> Verdict:
    """Compare the largest normalised gradient weight on [-1, 1] with SL's (Figure 1b)."""

    def largest(name: str) -> float:
        d = torch.linspace(-0.999, 1, 4001, dtype=torch.float64, requires_grad=True)
        log = subject.log_sigma[name](d)
        (slope,) = torch.autograd.grad(log.sum(), d)
        weight = slope * (log.detach() / tau).exp()
        return float(weight.max() / weight.mean())

    ours, sl = largest(activation), largest("exp")
    return decide(ours < 0.99 * sl, f"largest weight {ours:.2f} times the mean, SL {sl:.2f} times")
