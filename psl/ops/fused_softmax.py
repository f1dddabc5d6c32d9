"""The softmax losses fused with their scores, as an operator of torch.

The gradient is taken in the forward pass, a few rows at a time: nothing of size ``B x N`` is kept
for the backward pass.  So there is a first derivative only.  Where nobody can ask for it, as under
``no_grad``, it is not taken, and the value has the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from psl.activations import get_activation
from psl.kernels.dispatch import Impl, choose
from psl.ops.once_differentiable import register_gradients
from psl.ops.precision import check_ids, operator
from psl.ops.reference import add_gradients, score_rows

__all__ = ["FusedSpec", "fused_softmax", "fused_spec"]

FIRST_ONLY = (
    "a fused softmax loss has a first derivative only; for a second, take the loss of scores: "
    "loss(positive, negative)"
)


@dataclass(frozen=True)
class FusedSpec:
    """A loss that is ``factor * log sum_j sigma(d_j)^(1/tau)`` (4.1), and nothing else.

    Attributes
    ----------
    tau : float
        Temperature, positive and fixed.
    activation : {"exp", "tanh", "atan", "relu", "softplus"}
        The surrogate ``sigma``.
    factor : float
    """

    tau: float
    activation: str
    factor: float = 1.0


def fused_spec(loss: object) -> FusedSpec | None:
    """Return the attribute ``fused`` of a loss; ``None`` for a loss that has none, or says None.

    Raises
    ------
    TypeError
        If it is anything else: it would be read as another function.
    """
    spec = getattr(loss, "fused", None)
    if spec is not None and not isinstance(spec, FusedSpec):
        raise TypeError(f"{type(loss).__name__}.fused must be a FusedSpec or None, got {spec!r}")
    return spec


def fused_softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    spec: FusedSpec,
    *,
    rows: int,
    impl: Impl = "auto",
) -> Tensor:
    """Return the mean of (4.1) over the batch, without its factor, of shape (); of none it is 0.

    Parameters
    ----------
    users, items : Tensor, shapes (B, d) and (I, d)
        Of one floating dtype, at least float32.
    positive : Tensor of int64, shape (B,)
        Item ids.
    negative : Tensor of int64, shape (B, N), or None
        Item ids; ``None`` for every item of the catalogue, once.
    spec, rows, impl
        As in :func:`psl.catalogue_loss`.
    """
    wanted = torch.is_grad_enabled() and (users.requires_grad or items.requires_grad)
    settings = spec.tau, spec.activation, rows, wanted, impl
    value: Tensor = _fused_softmax(users, items, positive, negative, *settings)[0]
    return value


@operator("pairwise_softmax")
def _fused_softmax(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor | None, tau: float,
    activation: str, rows: int, wanted: bool, impl: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the mean, and if it is ``wanted`` its gradient, shapes (), (B, d) and (I, d).

    If not, both parts of the gradient are empty, (0, d).
    """
    sigma, batch = get_activation(activation), len(users)
    value = users.new_zeros(batch)
    grad_users, grad_items = (torch.zeros_like(x if wanted else x[:0]) for x in (users, items))
    if not batch:
        return value.sum(), grad_users, grad_items
    if impl == "kernel" and not sigma.kernels:
        raise ValueError(f"impl='kernel': the kernels have no activation {activation!r}")
    if kernel := choose("pairwise_softmax", users, impl if sigma.kernels else "torch"):
        value, u, v = kernel(users, items, positive, negative, tau, activation, wanted)
        return value.mean(), u, v
    check_ids(items, positive, *(() if negative is None else (negative,)))
    for start in range(0, batch, rows):
        part = slice(start, start + rows)
        u, pos_id = users[part], positive[part].unsqueeze(1)
        columns = None if negative is None else torch.cat([pos_id, negative[part]], dim=1)
        score = score_rows(u, items, columns)
        d = score - score.gather(1, pos_id) if columns is None else score[:, 1:] - score[:, :1]
        log_term = sigma.log(d) / tau
        value[part] = torch.logsumexp(log_term, dim=1)
        if not wanted:
            continue
        weight = torch.softmax(log_term, dim=1) * sigma.slope(d) / (tau * batch)
        pos_weight = -weight.sum(dim=1, keepdim=True)
        if columns is not None:
            weight = torch.cat([pos_weight, weight], dim=1)
        else:
            weight.scatter_add_(1, pos_id, pos_weight)
        grad_users[part] = add_gradients(u, items, columns, weight, grad_items)
    return value.mean(), grad_users, grad_items


_fused_softmax.register_fake(
    lambda users, items, *others: (
        users.new_empty(()),
        *(x.new_empty((len(x) if others[-2] else 0, x.shape[1])) for x in (users, items)),
    )
)
register_gradients(_fused_softmax, FIRST_ONLY)
