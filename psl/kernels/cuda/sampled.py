"""Scores of sampled items, :func:`psl.pairwise_softmax_loss` of them, and the gradients, on a GPU.

One program owns a row of the batch.  It visits its items once, a block at a time: a block's scores
are taken, added to a running sum under a running maximum, and its rows, still in registers, go into
the user's gradient.  The gradient of the items is taken in a second visit: the pairs are sorted by
item, stably, and one program adds up all the pairs of an item, always in the same order.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from psl.kernels.cuda.maths import (
    HUGE,
    grid_of,
    layout,
    load_rows,
    log_sigma_and_slope,
    nan_if_any,
    on,
    row_and_column,
)

ITEMS = 32  # of a row, visited at once; they stay in registers while their scores are taken
PAIRS = 8  # of one item, added up at once
COLUMNS = 1024  # of a row, turned into weights at once


@triton.jit
def _loss(
    users, items, positive, negative, value, grad_users, weight, keys, top_of, norm_of,
    num_items, lowest, count, dim, scale, share,
    ACTIVATION: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Take a row's loss and its user's gradient.

    It leaves the differences d in ``weight``, and in ``keys`` what the pairs are sorted by.
    """
    b = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)
    real = k < dim
    u = tl.load(users + b * dim + k, mask=real, other=0.0)
    pos_id = tl.load(positive + b)
    known = (pos_id >= 0) & (pos_id < num_items)
    pos_row = tl.load(items + pos_id * dim + k, mask=real & known, other=0.0)
    pos_score = tl.sum(u * pos_row, axis=0)
    has_nan = tl.where(known & (tl.abs(pos_score) <= HUGE), 0.0, float("nan"))
    top, total, grad_sum = -float("inf"), 0.0, 0.0
    acc = tl.zeros((WIDTH,), tl.float32)
    first = b * (count + 1)
    tl.store(keys + first, tl.where(known, pos_id, num_items) + lowest)
    differences, others = weight + first + 1, keys + first + 1
    for start in range(0, count, BLOCK):
        j = start + tl.arange(0, BLOCK)
        drawn = j < count
        ids = tl.load(negative + b * count + j, mask=drawn, other=0)
        inside = (ids >= 0) & (ids < num_items)
        tl.store(others + j, tl.where(inside, ids, num_items) + lowest, mask=drawn)
        rows = load_rows(items, ids, drawn & inside, dim, WIDTH)
        score = tl.sum(rows * u[None, :], axis=1)
        # A score that is not a number must not hide behind a maximum that ignores it.
        has_nan += nan_if_any(drawn & ~(inside & (tl.abs(score) <= HUGE)))
        d = score - pos_score
        tl.store(differences + j, d, mask=drawn)
        log_sigma, slope = log_sigma_and_slope(d, ACTIVATION)
        x = tl.where(drawn, log_sigma * scale, -float("inf"))
        higher = tl.maximum(top, tl.max(x, axis=0))
        shrink, e = tl.exp(top - higher), tl.exp(x - higher)
        w = e * slope
        total = total * shrink + tl.sum(e, axis=0)
        grad_sum = grad_sum * shrink + tl.sum(w, axis=0)
        acc = acc * shrink + tl.sum(w[:, None] * rows, axis=0)
        top = higher
    norm = share / total + has_nan
    tl.store(value + b, top + tl.log(total) + has_nan)
    tl.store(grad_users + b * dim + k, (acc - grad_sum * pos_row) * norm, mask=real)
    tl.store(weight + first, -grad_sum * norm)
    tl.store(top_of + b, top)
    tl.store(norm_of + b, norm)


@triton.jit
def _weigh(weight, top_of, norm_of, count, scale, ACTIVATION: tl.constexpr, BLOCK: tl.constexpr):
    """Turn differences d, in place, into what each pair weighs in the gradient."""
    b, start = row_and_column(count, BLOCK)
    j = start + tl.arange(0, BLOCK)
    at, drawn = weight + b * (count + 1) + 1 + j, j < count
    log_sigma, slope = log_sigma_and_slope(tl.load(at, mask=drawn, other=0.0), ACTIVATION)
    e = tl.exp(log_sigma * scale - tl.load(top_of + b))
    tl.store(at, e * slope * tl.load(norm_of + b), mask=drawn)


@triton.jit
def _item_gradient(
    users, weight, order, first, grad_items, count, dim,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Add up the pairs of one item; ``order`` names the pairs by item, ``first`` where they start.

    Items nobody drew get their zeros here too.
    """
    i = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)
    real = k < dim
    acc = tl.zeros((WIDTH,), tl.float32)
    end = tl.load(first + i + 1)
    for start in range(tl.load(first + i), end, BLOCK):
        j = start + tl.arange(0, BLOCK)
        drawn = j < end
        pair = tl.load(order + j, mask=drawn, other=0)
        w = tl.load(weight + pair, mask=drawn, other=0.0)
        rows = load_rows(users, pair // count, drawn, dim, WIDTH)
        acc += tl.sum(w[:, None] * rows, axis=0)
    tl.store(grad_items + i * dim + k, acc, mask=real)


@triton.jit
def _scores(
    users, items, columns, out, num_items, count, dim,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    b, start = row_and_column(count, BLOCK)
    j = start + tl.arange(0, BLOCK)
    k = tl.arange(0, WIDTH)
    real, drawn = k < dim, j < count
    u = tl.load(users + b * dim + k, mask=real, other=0.0)
    ids = tl.load(columns + b * count + j, mask=drawn, other=0)
    inside = (ids >= 0) & (ids < num_items)
    rows = load_rows(items, ids, drawn & inside, dim, WIDTH)
    score = tl.where(inside, tl.sum(rows * u[None, :], axis=1), float("nan"))
    tl.store(out + b * count + j, score, mask=drawn)


@triton.jit
def _gather(
    items, columns, weight, grad_users, num_items, count, dim,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Take a user's gradient: its items, weighted."""
    b = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)
    real = k < dim
    acc = tl.zeros((WIDTH,), tl.float32)
    for start in range(0, count, BLOCK):
        j = start + tl.arange(0, BLOCK)
        drawn = j < count
        ids = tl.load(columns + b * count + j, mask=drawn, other=0)
        w = tl.load(weight + b * count + j, mask=drawn, other=0.0)
        inside = (ids >= 0) & (ids < num_items)
        rows = load_rows(items, ids, drawn & inside, dim, WIDTH)
        acc += tl.sum(tl.where(inside, w, float("nan"))[:, None] * rows, axis=0)
    tl.store(grad_users + b * dim + k, acc, mask=real)


def sampled_softmax(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, tau: float,
    activation: str, wanted: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the loss of each row (B,) and the gradients of its mean, (B, d) and (I, d).

    ``negative`` (B, N) are the sampled items, each visited.  The gradients are empty if they are
    not ``wanted``.  Memory beyond inputs and outputs is some 40 bytes a pair: ids, weights, and
    sorting them.
    """
    (batch, dim), count = users.shape, negative.shape[1]
    value, grad_users = users.new_empty(batch), torch.empty_like(users)
    weight = users.new_empty(batch, count + 1)
    kind, lowest = _keys(len(items))
    keys = weight.new_empty(weight.shape, dtype=kind)
    top, norm = users.new_empty(batch), users.new_empty(batch)
    scale = 1 / tau
    with on(users):
        _loss[(batch,)](
            users, items, positive, negative, value, grad_users, weight, keys, top, norm,
            len(items), lowest, count, dim, scale, scale / max(batch, 1),
            ACTIVATION=activation, **layout(dim, ITEMS),
        )  # fmt: skip
        if not wanted:
            return value, users[:0].clone(), items[:0].clone()
        grid = grid_of(batch, count, COLUMNS)
        _weigh[grid](weight, top, norm, count, scale, ACTIVATION=activation, BLOCK=COLUMNS)
    return value, grad_users, _sorted_gradient(users, items, keys, weight)


def sampled_scores(users: Tensor, items: Tensor, columns: Tensor) -> Tensor:
    """Return the inner products of each row with its own items, shape (B, M)."""
    (batch, dim), count = users.shape, columns.shape[1]
    out, shape = users.new_empty(columns.shape), layout(dim, ITEMS)
    with on(users):
        _scores[grid_of(batch, count, shape["BLOCK"])](
            users, items, columns, out, len(items), count, dim, **shape
        )
    return out


def sampled_scores_backward(
    users: Tensor, items: Tensor, columns: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``(weight * scores).sum()`` in users (B, d) and items (I, d)."""
    (batch, dim), count = users.shape, columns.shape[1]
    grad_users = torch.empty_like(users)
    with on(users):
        _gather[(batch,)](
            items, columns, weight, grad_users, len(items), count, dim, **layout(dim, ITEMS)
        )
    kind, lowest = _keys(len(items))
    # What is outside stays outside: the key beyond the last stands for it.
    known = torch.where((columns >= 0) & (columns < len(items)), columns, len(items))
    return grad_users, _sorted_gradient(users, items, (known + lowest).to(kind), weight)


def _keys(num_items: int) -> tuple[torch.dtype, int]:
    """Return the shortest type for every id and one more, and the key of id 0 in it.

    A sort takes its time by the bits of a key.
    """
    short = torch.iinfo(torch.int16)
    if num_items <= short.max - short.min:
        return torch.int16, short.min
    return torch.int32, 0


def _sorted_gradient(users: Tensor, items: Tensor, keys: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted sum of users for each item, (I, d).

    The sort is stable, so the order of an item's pairs is that of the batch.
    """
    grad_items = torch.empty_like(items)
    ids, order = keys.flatten().sort(stable=True)
    kind, lowest = _keys(len(items))
    every = torch.arange(lowest, lowest + len(items) + 1, device=ids.device).to(kind)
    first = torch.searchsorted(ids, every)  # an id outside the table is in nobody's run
    with on(users):
        _item_gradient[(len(items),)](
            users, weight, order, first, grad_items, keys.shape[1], items.shape[1],
            **layout(items.shape[1], PAIRS),
        )  # fmt: skip
    return grad_items
