"""Loss of a batch against sampled items without ever building the (B, N, d) block of embeddings.

The scores of a few rows against the *whole* catalogue are one matrix product; the sampled columns
are gathered from it, the loss's gradient is taken there and then, scattered back, and two more
products give the gradients of users and items.  Only a chunk of ``rows x I`` scores is alive at any
time, nothing is kept for the backward pass, and the sampled loss is the same as that of the gather.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["sampled_loss"]

ScoreLoss = Callable[[Tensor, Tensor], Tensor]


class _SampledLoss(torch.autograd.Function):
    """Value and gradient together in the forward pass; the backward only scales."""

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        positive: Tensor,
        negative: Tensor,
        loss: ScoreLoss,
        rows: int,
    ) -> Tensor:
        grad_users, grad_items = torch.empty_like(users), torch.zeros_like(items)
        spread = users.new_zeros(min(rows, len(users)), len(items))
        total = users.new_zeros((), dtype=torch.float64)
        for start in range(0, len(users), rows):
            part = slice(start, start + rows)
            u, columns = users[part], torch.cat([positive[part, None], negative[part]], dim=1)
            scores = (u @ items.T).gather(1, columns)
            with torch.enable_grad():
                scores.requires_grad_()
                # .sum(): a loss may reduce or not; rows are independent, so the sum serves both.
                value = loss(scores[:, 0], scores[:, 1:]).sum()
                (grad,) = torch.autograd.grad(value, scores)
            total += value.detach()
            block = spread[: len(u)].zero_().scatter_add_(1, columns, grad)
            grad_users[part] = block @ items
            grad_items.addmm_(block.T, u)
        ctx.save_for_backward(grad_users, grad_items)
        return (total / len(users)).to(users.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        users, items = ctx.saved_tensors
        scale = grad / len(users)
        return users * scale, items * scale, None, None, None, None


def sampled_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    loss: ScoreLoss,
    *,
    rows: int = 128,
) -> Tensor:
    """Return the mean loss of a batch, differentiable in both embedding tables.

    Parameters
    ----------
    users : Tensor, shape (B, d)
        Embeddings of the batch's users; a score is the inner product with an item's.
    items : Tensor, shape (I, d)
        Embeddings of the whole catalogue.
    positive, negative : Tensor of int64, shapes (B,) and (B, N)
        Item ids.
    loss : callable
        ``(positive (b,), negative (b, N)) -> (b,)``, rows independent of one another
        (``reduction="none"``).
    rows : int
        Rows scored at once; memory is ``2 * rows * I`` numbers.
    """
    if negative.shape[1] * 64 < len(items):
        # Few columns: gathering their embeddings is cheaper than scoring the catalogue.
        s = torch.einsum("bd,bnd->bn", users, items[negative])
        return loss((users * items[positive]).sum(-1), s).mean()
    out: Tensor = _SampledLoss.apply(users, items, positive, negative, loss, rows)
    return out
