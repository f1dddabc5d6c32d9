"""The softmax losses fused with their scores, as an operator of torch.

The gradient is taken in the forward pass, a few rows at a time: nothing of size ``B x N`` is kept
for the backward pass.  So there is a first derivative only.  Where nobody can ask for it, as under
``no_grad``, it is not taken, and the value has the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.library import custom_op

from psl.activations import get_activation
from psl.kernels.dispatch import cpu_kernels, gpu_kernels
from psl.ops.once_differentiable import register_gradients
from psl.ops.precision import check_ids, contiguous, full_precision
from psl.ops.reference import add_gradients, score_rows

__all__ = ["fused_softmax", "product_items"]

FIRST_ONLY = (
    "a fused softmax loss has a first derivative only; for a second, take the loss of scores: "
    "loss(positive, negative)"
)


def fused_softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    tau: float,
    activation: str,
    rows: int,
) -> Tensor:
    """Return the mean of (4.1) over the batch, of shape (); of an empty one it is 0.

    Parameters
    ----------
    users, items : Tensor, shapes (B, d) and (I, d)
        Of one floating dtype, at least float32.
    positive : Tensor of int64, shape (B,)
        Item ids.
    negative : Tensor of int64, shape (B, N), or None
        Item ids; ``None`` for every item of the catalogue, once.
    tau : float
    activation : str
    rows : int
        As in :func:`psl.catalogue_loss`.
    """
    wanted = torch.is_grad_enabled() and (users.requires_grad or items.requires_grad)
    batch = users, items, positive, negative
    value: Tensor = _fused_softmax(*batch, tau, activation, rows, wanted)[0]
    return value


@custom_op("psl::pairwise_softmax", mutates_args=())
@full_precision
def _fused_softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    tau: float,
    activation: str,
    rows: int,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean, and if it is ``wanted`` its gradient, shapes (), (B, d) and (I, d).

    If not, both parts of the gradient are empty, (0, d).
    """
    if not len(users):
        return users.new_zeros(()), torch.zeros_like(users), torch.zeros_like(_part(items, wanted))
    users, items, positive = contiguous(users, items, positive)
    negative = None if negative is None else negative.contiguous()
    known = get_activation(activation).kernels
    on_gpu = gpu_kernels(users) if known else None
    kernels = on_gpu or (cpu_kernels(users) if known else None)
    batch = users, items, positive, negative, tau, activation
    if kernels is None:
        check_ids(items, positive, *(() if negative is None else (negative,)))
        value, u, v = _softmax_rows(*batch, rows, wanted)
    else:
        gpu = on_gpu is not None
        dense = negative is None or len(items) <= product_items(negative.shape[1], gpu=gpu)
        kernel = kernels.catalogue_softmax if dense else kernels.pairwise_softmax
        value, u, v = kernel(*batch, wanted)
    return value.mean(), u, v


def _part(table: Tensor, wanted: bool) -> Tensor:
    return table if wanted else table[:0]


def product_items(count: int, *, gpu: bool) -> int:
    """Return up to how many items three products with all cost less than ``count`` draws a row.

    Measured: on an H200 from 64 to 4096 draws and 1024 to 8192 rows, on a CPU at 1000 draws.
    """
    return 8 * count + 2000 if gpu else 2 * count


def _softmax_rows(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    tau: float,
    activation: str,
    rows: int,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take value and gradient of a few rows at a time, in torch."""
    sigma, batch = get_activation(activation), len(users)
    value, grad_users = users.new_empty(batch), torch.empty_like(_part(users, wanted))
    grad_items = torch.zeros_like(_part(items, wanted))
    for start in range(0, batch, rows):
        part = slice(start, start + rows)
        u, own = users[part], positive[part].unsqueeze(1)
        columns = None if negative is None else torch.cat([own, negative[part]], dim=1)
        score = score_rows(u, items, columns)
        d = score[:, 1:] - score[:, :1] if columns is not None else score - score.gather(1, own)
        term = sigma.log(d) / tau
        value[part] = torch.logsumexp(term, dim=1)
        if not wanted:
            continue
        weight = torch.softmax(term, dim=1) * sigma.slope(d) / (tau * batch)
        pull = -weight.sum(dim=1, keepdim=True)
        if columns is not None:
            weight = torch.cat([pull, weight], dim=1)
        else:
            weight.scatter_add_(1, own, pull)
        grad_users[part] = add_gradients(u, items, columns, weight, grad_items)
    return value, grad_users, grad_items


_fused_softmax.register_fake(
    lambda users, items, *others: tuple(
        users.new_empty(shape)
        for shape in ((), *(_part(table, others[-1]).shape for table in (users, items)))
    )
)
register_gradients(_fused_softmax, FIRST_ONLY)
