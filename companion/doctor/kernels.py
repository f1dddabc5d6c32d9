"""Which implementation serves, and whether it computes what the plain path in float64 does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from companion.doctor.findings import Finding
from psl.interactions import Interactions
from psl.kernels.dispatch import serving
from psl.losses import PairwiseSoftmaxLoss
from psl.negatives import UniformNegatives
from psl.ops import catalogue_loss, half_cosine, sampled_loss

__all__ = ["Deviation", "kernel_findings", "self_test"]

TOLERANCE = 1e-5  # of float32, relative to the largest number
USERS, ITEMS, DIM, NEGATIVES = 33, 257, 24, 70


class Deviation(NamedTuple):
    """How far an operator is from the plain path in float64.

    Attributes
    ----------
    what : str
    error : float
        The largest over its value and both gradients, relative to the largest number there.
    """

    what: str
    error: float


def self_test(device: torch.device) -> list[Deviation]:
    """Compute losses and gradients with what serves on a device, and in float64 without kernels.

    A sampler's deviation is how many of the items that it drew are the user's own, of all.
    """
    generator = torch.Generator().manual_seed(0)
    tables = [torch.randn(n, DIM, generator=generator) for n in (USERS, ITEMS)]
    positive = torch.randint(ITEMS, (USERS,), generator=generator)
    negative = torch.randint(ITEMS, (USERS, NEGATIVES), generator=generator)
    out = []
    for activation in ("relu", "tanh", "atan"):
        loss = PairwiseSoftmaxLoss(0.1, activation)
        ways = (
            ("sampled", partial(_sampled, loss, negative)),
            ("catalogue", lambda u, v, p, loss=loss: catalogue_loss(u, v, p, loss)),
        )
        for way, of in ways:
            served = _with_gradients(of, [t.to(device) for t in tables], positive.to(device))
            plain = _with_gradients(of, [t.double() for t in tables], positive)
            errors = [_relative(a, b) for a, b in zip(served, plain, strict=True)]
            out.append(Deviation(f"{way} PSL-{activation}", max(errors)))
    out.append(Deviation("negative sampling", _own_drawn(positive, device)))
    return out


def _sampled(
    loss: PairwiseSoftmaxLoss, negative: Tensor, u: Tensor, v: Tensor, positive: Tensor
) -> Tensor:
    return sampled_loss(u, v, positive, negative.to(u.device), loss)


def _with_gradients(
    of: Callable[[Tensor, Tensor, Tensor], Tensor], tables: list[Tensor], positive: Tensor
) -> list[Tensor]:
    leaves = [table.clone().requires_grad_() for table in tables]
    value = of(*half_cosine(*leaves), positive)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def _relative(found: Tensor, wanted: Tensor) -> float:
    gap = (found.detach().cpu().double() - wanted).abs().max() / wanted.abs().max()
    return float(gap)


def _own_drawn(positive: Tensor, device: torch.device) -> float:
    """Return the share of draws that are items which the user has: there should be none."""
    ids = torch.arange(USERS)
    pairs = Interactions.from_pairs(ids.numpy(), positive.numpy(), USERS, ITEMS)
    drawn = UniformNegatives(pairs, device).sample(ids.to(device), 4 * ITEMS, 1).cpu()
    return float((drawn == positive[:, None]).double().mean())


def kernel_findings() -> Iterator[Finding]:
    """Look at the CPU, and at the GPU where there is one."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for name in devices:
        yield _of_device(torch.device(name))


def _of_device(device: torch.device) -> Finding:
    name = f"kernels ({device.type})"
    served = serving(device)
    far = max(self_test(device), key=lambda x: _order(x.error))
    words = f"{served}; self-test off by {far.error:.0e} at most"
    if not far.error <= TOLERANCE:  # what is not a number is wrong too
        remedy = "PSL_KERNELS=off takes the plain path; please report it"
        return Finding(name, "fail", f"{served}; {far.what} is off by {far.error:.1e}", remedy)
    if served != "torch":
        return Finding(name, "ok", words)
    if os.environ.get("PSL_KERNELS", "").strip():
        return Finding(name, "ok", f"{words}; PSL_KERNELS turns the compiled ones off")
    extra = "psl[fast]" if device.type == "cpu" else "psl[cuda]"
    return Finding(
        name,
        "warn",
        f"{words}; no compiled kernels serve, training takes several times as long",
        f"pip install '{extra}'",
    )


def _order(error: float) -> float:
    return error if error == error else float("inf")
