"""Scores of a few pairs of users and items, and a step of Adam on the rows that stand in them.

What is not touched is not read either: a step costs what its pairs cost, whatever the catalogue.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import prange
from torch import Tensor

from psl.kernels.cpu.compiling import SPARE, compiled, use_threads
from psl.kernels.cpu.maths import exp, f4, log, u8
from psl.kernels.cpu.rows import SHORTEST


@cache
def _scores(dim: int, cosine: bool, bpr: bool) -> Any:
    @compiled
    def kernel(users, items, rows, columns, score, factor, before, weight, value):
        batch, count = columns.shape
        for b in prange(batch):
            for k in range(dim):
                before[b, k] = users[u8(rows[b]), k]
            for j in range(count):
                i, s, u, v = u8(columns[b, j]), f4(0), f4(0), f4(0)
                for k in range(dim):
                    s += before[b, k] * items[i, k]
                factor[b, j] = f4(1)
                if cosine:
                    for k in range(dim):
                        u += before[b, k] * before[b, k]
                        v += items[i, k] * items[i, k]
                    lengths = max(np.sqrt(u), SHORTEST) * max(np.sqrt(v), SHORTEST)
                    factor[b, j] = f4(0.5) / lengths
                score[b, j] = s * factor[b, j]
            if bpr:
                value[b], weight[b, 0], share = f4(0), f4(0), f4(1) / f4(count - 1)
                for j in range(1, count):
                    d = score[b, j] - score[b, 0]
                    e = exp(-abs(d))
                    value[b] += (max(d, f4(0)) + log(f4(1) + e)) * share
                    weight[b, j] = (f4(1) if d > f4(0) else e) / (f4(1) + e) * share / f4(batch)
                    weight[b, 0] -= weight[b, j]

    return kernel


@cache
def _move(dim: int, cosine: bool) -> Any:
    @compiled
    def kernel(
        users, columns, before, weight, factor, score, tables, means, squares, slots,
        take, take_square, rate, eps, decay, threads,
    ):  # fmt: skip
        count, flat = columns.shape[1], columns.reshape(-1)
        for side in range(2):
            # A user has its row of the batch, an item one pair; what stands more than once is a
            # chain, from its first place on: gradients are added up in their order.
            rows, each = (users, count) if side == 0 else (flat, 1)
            partners = tables[1] if side == 0 else before
            table, mean, square, slot = tables[side], means[side], squares[side], slots[side]
            found, (head, tail, after) = 0, np.empty((3, len(rows)), rows.dtype)
            for n in range(len(rows)):
                after[n], row = -1, rows[n]
                if slot[row] < 0:
                    slot[row], head[found] = found, n
                    found += 1
                else:
                    after[tail[slot[row]]] = n
                tail[slot[row]] = n
            for t in prange(threads):
                g = np.empty(dim + SPARE, f4)
                for place in range(t * found // threads, (t + 1) * found // threads):
                    n, length, along = head[place], f4(0), f4(0)
                    row = u8(rows[n])
                    slot[row] = -1
                    g[:] = f4(0)
                    while n >= 0:
                        for p in range(n * each, (n + 1) * each):
                            b, j = p // count, p % count
                            along += weight[b, j] * score[b, j]
                            w, other = weight[b, j] * factor[b, j], u8(flat[p] if side == 0 else b)
                            for k in range(dim):
                                g[k] += w * partners[other, k]
                        n = after[n]
                    own = decay
                    if cosine:  # along the row itself its cosines do not change
                        for k in range(dim):
                            length += table[row, k] * table[row, k]
                        own -= along / length if length > SHORTEST * SHORTEST else f4(0)
                    for k in range(dim):
                        x = g[k] + own * table[row, k]
                        mean[row, k] += take * (x - mean[row, k])
                        square[row, k] += take_square * (x * x - square[row, k])
                        table[row, k] -= rate * mean[row, k] / (np.sqrt(square[row, k]) + eps)

    return kernel


def pair_scores(
    users: Tensor, items: Tensor, rows: Tensor, columns: Tensor, *, cosine: bool, bpr: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Score users ``rows`` (B,) with items ``columns`` (B, M); ids have to be the tables'.

    Returns
    -------
    score, factor : Tensor, shape (B, M)
        The factor multiplies the inner product: half of both inverse lengths for the score
        ``cos / 2``, else 1.
    before : Tensor, shape (B, d)
        The rows of the users.
    weight, value : Tensor, shapes (B, M) and (B,)
        With ``bpr``: of the mean of :func:`psl.bpr_loss` the derivative in each score, the first of
        a row being the positive's, and its values.
    """
    use_threads()
    score, factor, weight = (users.new_empty(columns.shape) for _ in range(3))
    before, value = users.new_empty(len(rows), users.shape[1]), users.new_empty(len(rows))
    out = score, factor, before, weight, value
    arrays = (x.detach().numpy() for x in (users, items, rows, columns, *out))
    _scores(users.shape[1], cosine, bpr)(*arrays)
    return out


def move_rows(
    rows: Tensor,
    columns: Tensor,
    pairs: tuple[Tensor, Tensor, Tensor, Tensor],
    states: tuple[tuple[Tensor, Tensor], ...],
    step: int,
    *,
    cosine: bool,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> None:
    """Move the users and items of some pairs by Adam, in place.

    Parameters
    ----------
    rows, columns
        As :func:`pair_scores`.
    pairs : tuple of Tensor
        The users' rows, the derivative of the loss in each score, the factors and the scores.
    states : tuple of tuple of Tensor
        Both tables, their first moments, their second, and memory of the kernel: int64, one number
        a row, -1 before and after.
    step : int
        From 1 on.
    """
    threads, (keep, keep_square) = use_threads(), betas
    rate = lr * math.sqrt(1 - keep_square**step) / (1 - keep**step)
    given = (x.numpy() for x in (rows, columns, *pairs))
    both = (tuple(x.detach().numpy() for x in state) for state in states)
    numbers = (f4(x) for x in (1 - keep, 1 - keep_square, rate, eps, weight_decay))
    _move(pairs[0].shape[1], cosine)(*given, *both, *numbers, threads)
