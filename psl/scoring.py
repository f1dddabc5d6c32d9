"""Scores of a batch against sampled items without ever building the (B, N, d) block of embeddings.

Three roads, one result.  On a CPU with numba the kernels of :mod:`psl.kernels` visit each sampled
item once; the pairwise softmax losses are fused with their scores there.  Elsewhere the scores of a
few rows against the *whole* catalogue are one matrix product and the sampled columns are gathered
from it.  Where the catalogue is much larger than the sample, only the sampled rows are gathered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from psl.fast import cpu_kernels

__all__ = ["sampled_loss", "sampled_scores"]


class _SampledScores(torch.autograd.Function):
    """Scores forward; backward, the two products with the scattered gradient."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, columns: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(users, items, columns)
        ctx.rows = rows
        kernels = cpu_kernels(users)
        if kernels is not None:
            out: Tensor = kernels.scores(
                users.contiguous(), items.contiguous(), columns.contiguous()
            )
            return out
        parts = zip(users.split(rows), columns.split(rows), strict=True)
        if columns.shape[1] * 64 < len(items):
            return torch.cat([torch.einsum("bd,bnd->bn", u, items[c]) for u, c in parts])
        return torch.cat([(u @ items.T).gather(1, c) for u, c in parts])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        users, items, columns = ctx.saved_tensors
        kernels = cpu_kernels(users)
        if kernels is not None:
            tensors = (x.contiguous() for x in (users, items, columns, grad))
            return (*kernels.scatter_scores(*tensors), None, None)
        grad_users, grad_items = torch.empty_like(users), torch.zeros_like(items)
        few = columns.shape[1] * 64 < len(items)
        spread = None if few else users.new_zeros(min(ctx.rows, len(users)), len(items))
        for start in range(0, len(users), ctx.rows):
            part = slice(start, start + ctx.rows)
            u, c, g = users[part], columns[part], grad[part]
            if spread is None:
                grad_users[part] = torch.einsum("bn,bnd->bd", g, items[c])
                block = g.unsqueeze(-1) * u.unsqueeze(1)
                grad_items.index_add_(0, c.flatten(), block.flatten(0, 1))
            else:
                block = spread[: len(u)].zero_().scatter_add_(1, c, g)
                grad_users[part] = block @ items
                grad_items.addmm_(block.T, u)
        return grad_users, grad_items, None, None


class _FusedSoftmax(torch.autograd.Function):
    """Value and gradient together in the forward pass; the backward only scales."""

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        positive: Tensor,
        negative: Tensor,
        tau: float,
        activation: str,
    ) -> Tensor:
        kernels = cpu_kernels(users)
        assert kernels is not None
        tensors = (x.contiguous() for x in (users, items, positive, negative))
        value, *gradients = kernels.pairwise_softmax(*tensors, tau, activation)
        ctx.save_for_backward(*gradients)
        mean: Tensor = value.mean()
        return mean

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        users, items = ctx.saved_tensors
        if float(grad) == 1:  # the usual case: the loss itself was asked to go back
            return users, items, None, None, None, None
        return users * grad, items * grad, None, None, None, None


def sampled_scores(users: Tensor, items: Tensor, columns: Tensor, *, rows: int = 128) -> Tensor:
    """Return the inner products of each row with its own items, differentiable in both tables.

    Parameters
    ----------
    users : Tensor, shape (B, d)
    items : Tensor, shape (I, d)
        Embeddings of the whole catalogue.
    columns : Tensor of int64, shape (B, M)
        Item ids; one may stand in a row more than once.
    rows : int
        Rows scored at once without the kernels: memory is ``2 * rows * I`` numbers.

    Returns
    -------
    Tensor, shape (B, M)
    """
    out: Tensor = _SampledScores.apply(users, items, columns, rows)
    return out


def sampled_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    rows: int = 128,
) -> Tensor:
    """Return the mean loss of a batch, differentiable in both embedding tables.

    Parameters
    ----------
    users, items, rows
        As in :func:`sampled_scores`.
    positive, negative : Tensor of int64, shapes (B,) and (B, N)
        Item ids.
    loss : callable
        ``(positive (B,), negative (B, N)) -> value``, a scalar mean or one value a row.  Parameters
        of its own get their gradients too.  A loss with an attribute ``fused``, its temperature and
        activation, is taken as the log of a sum of ``sigma(d)^(1/tau)`` (4.1) where kernels serve.
    """
    fused = getattr(loss, "fused", None)
    if fused is not None and cpu_kernels(users) is not None:
        out: Tensor = _FusedSoftmax.apply(users, items, positive, negative, *fused)
        return out
    scores = sampled_scores(users, items, torch.cat([positive[:, None], negative], 1), rows=rows)
    return loss(scores[:, 0], scores[:, 1:]).mean()
