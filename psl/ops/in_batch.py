"""A loss of scores whose negatives are the items of the other rows, as two towers have it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from psl.ops.from_embeddings import declared_reduction, in_parts
from psl.ops.precision import check_batch
from psl.ops.reduction import Reduction, check_reduction
from psl.ops.sampled_scores import sampled_scores

__all__ = ["in_batch_loss"]


def in_batch_loss(
    users: Tensor,
    items: Tensor,
    loss: Callable[..., Tensor],
    *,
    item_ids: Tensor | None = None,
    known: Tensor | None = None,
    log_q: Tensor | None = None,
    reduction: Reduction = "mean",
    rows: int = 128,
) -> Tensor:
    r"""Return the loss of pairs whose negatives are the items of the other rows.

    Of SL and PSL that is, for row k, :math:`\log \sum_{j \in N_k} \sigma(d_{kj})^{1/\tau} / q_j`.
    :math:`N_k` leaves out the row's own item, others of its id, and those that are known.  To
    divide by q is the logQ correction (Yi et al. 2019).

    Parameters
    ----------
    users : Tensor, shape (B, d)
    items : Tensor, shape (M, d), M >= B
        Item k is the positive of row k.  Those from B on are negatives of every row: of other
        processes, or drawn.  The inner products are the scores, as of :func:`sampled_loss`.
    loss : callable
        As of :func:`sampled_loss`, with an argument ``log_weight``, which SL and PSL have.
    item_ids : Tensor of int64, shape (M,), optional
        Items of the same id are the same item.
    known : Tensor of bool, shape (B, M), optional
        Which items a row's user has: ``train.mask(user_ids)[:, item_ids]``.
    log_q : Tensor, shape (M,), optional
        Log of the probability that an item is in the batch, but for a constant.
    reduction : {"mean", "sum", "none"}
        A row with no negative left is 0, and is not counted in the mean.
    rows : int
        As of :func:`sampled_loss`, which also says when a batch is taken in parts.

    Returns
    -------
    Tensor
        Scalar, or shape (B,) for ``"none"``; dtype and derivative as of :func:`sampled_loss`.

    Raises
    ------
    ValueError
        If shapes, dtypes or devices do not fit, or as :func:`sampled_loss` does.
    """
    check_reduction(reduction)
    declared_reduction(loss)
    batch, size = len(users), len(items)
    row, every = (torch.arange(n, device=users.device) for n in (batch, size))
    ids = every if item_ids is None else item_ids
    check_batch(users, items, rows, positive=ids[:batch])
    weight = items.new_zeros(size) if log_q is None else -log_q
    pairs = batch, size
    given = {"item_ids": (ids, (size,)), "log_q": (weight, (size,)), "known": (known, pairs)}
    for name, (x, shape) in given.items():
        if x is not None and x.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(x.shape)}")

    def left(own: Tensor, *have: Tensor) -> Tensor:
        other = ids[own, None] != ids
        return other & have[0].logical_not() if have else other

    def of_rows(u: Tensor, v: Tensor, own: Tensor, *have: Tensor) -> Tensor:
        scores = sampled_scores(u, v, None)
        log_weight = weight.expand_as(scores).masked_fill(~left(own, *have), -math.inf)
        return loss(scores.gather(1, own[:, None])[:, 0], scores, log_weight=log_weight)

    each = (row,) if known is None else (row, known)
    parts = zip(*(x.split(rows) for x in each), strict=True)
    counted = torch.cat([left(*part).any(1) for part in parts])
    return in_parts(loss, of_rows, (users, items, *each), size, rows, reduction, counted)
