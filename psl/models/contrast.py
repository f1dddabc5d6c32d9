"""What XSimGCL adds to propagation: noise that keeps the orthant, and a contrast of two layers."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from psl.kernels.dispatch import choose
from psl.ops.fused_softmax import FusedSpec, fused_softmax, register_gradients
from psl.ops.precision import operator
from psl.ops.unit_rows import unit_rows
from psl.streams import uniforms

__all__ = ["info_nce", "orthant_noise"]

ROWS = 128  # at once, where there is no kernel


@torch.no_grad()
def orthant_noise(x: Tensor, key: int | Tensor, eps: float) -> Tensor:
    r"""Return vectors of length ``eps`` that point into the orthants of the rows of ``x`` (M, d).

    Each is ``sign(x) * n * eps`` with ``n`` uniform on :math:`[0, 1)^d` and then of length 1; it is
    zero where ``x`` is.  The draws depend on ``key`` and their place alone: the same on every
    device.  No gradient passes: the derivative of the sign is 0.  A key in a tensor () may change
    between the replays of a CUDA graph.
    """
    if kernel := choose("orthant_noise", x):
        return kernel(x.contiguous(), key, eps)
    drawn = uniforms(key, tuple(x.shape), x.device).to(x.dtype)
    return x.sign() * normalize(drawn, dim=1) * eps


def info_nce(one: Tensor, two: Tensor, tau: float, ids: Tensor | None = None) -> Tensor:
    """Return the mean of ``-log softmax(cos(one_i, two_j) / tau)`` at ``j = i``; shapes (B, d).

    It is the softmax loss of each row of ``one`` against ``two`` as its catalogue, and taken as
    that.  With ``ids`` (B,) a row counts once for each id: nothing is contrasted with itself.
    Autocast changes nothing.
    """
    u, v = unit_rows(one), unit_rows(two)
    if ids is None:
        return _against_all(u, v, tau)
    order = ids.argsort(stable=True)
    repeated = torch.zeros_like(ids, dtype=torch.bool)
    repeated[order[1:]] = ids[order[1:]] == ids[order[:-1]]
    if ids.device.type == "cpu":
        return _against_all(u[~repeated], v[~repeated], tau)
    return _masked(u, v, tau, repeated)[0]


def _against_all(u: Tensor, v: Tensor, tau: float) -> Tensor:
    own = torch.arange(len(u), device=u.device)
    return fused_softmax(u, v, own, None, FusedSpec(tau, "exp"), "mean", ROWS)


@operator("masked_contrast")
def _masked(u: Tensor, v: Tensor, tau: float, repeated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the contrast without the repetitions (B,), and its gradients in ``u`` and ``v``.

    They are masked: a GPU would have to be waited for to learn how many rows are left.  The
    gradients are taken here, for autograd would take them in the precision of the process.
    """
    logits = (u @ v.T / tau).masked_fill(repeated, -torch.inf)
    share = (~repeated).to(u.dtype) / (~repeated).sum()
    rows = torch.logsumexp(logits, dim=1) - logits.diagonal()
    value = torch.where(repeated, 0, rows * share).sum()
    weight = torch.softmax(logits, dim=1)
    weight.diagonal().sub_(1)
    weight *= (share / tau).unsqueeze(1)
    return value, weight @ v, weight.T @ u


_masked.register_fake(lambda u, v, *_: tuple(u.new_empty(s) for s in ((), u.shape, v.shape)))
register_gradients(_masked, "the contrast of two layers has a first derivative only")
