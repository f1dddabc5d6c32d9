"""Scores of pairs of a user and an item, and a step of Adam on the rows that stand in them alone.

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
from psl.kernels.cpu.maths import f4
from psl.kernels.cpu.rows import SHORTEST


@cache
def _scores(dim: int, cosine: bool) -> Any:
    @compiled
    def kernel(users, items, rows, columns, score, factor):
        for b in prange(len(rows)):
            for j in range(columns.shape[1]):
                i = columns[b, j]
                s, u, v = f4(0), f4(0), f4(0)
                for k in range(dim):
                    x, y = users[rows[b], k], items[i, k]
                    s += x * y
                    u += x * x
                    v += y * y
                f = f4(0.5) / (max(np.sqrt(u), SHORTEST) * max(np.sqrt(v), SHORTEST))
                factor[b, j] = f if cosine else f4(1)
                score[b, j] = s * factor[b, j]

    return kernel


@cache
def _move(dim: int, cosine: bool) -> Any:
    @compiled
    def kernel(
        rows, partners, partner, weight, factor, score, table, mean, square, slot,
        take, take_square, rate, eps, decay, threads,
    ):  # fmt: skip
        # The pairs of a row are a chain, from its first one on: they are added up in their order.
        count, head, tail, after = 0, np.empty_like(rows), np.empty_like(rows), np.empty_like(rows)
        for p in range(len(rows)):
            after[p], row = -1, rows[p]
            if slot[row] < 0:
                slot[row], head[count] = count, p
                count += 1
            else:
                after[tail[slot[row]]] = p
            tail[slot[row]] = p
        for t in prange(threads):
            g = np.empty(dim + SPARE, f4)
            for n in range(t * count // threads, (t + 1) * count // threads):
                p, length, along = head[n], f4(0), f4(0)
                row = rows[p]
                slot[row] = -1
                g[:] = f4(0)
                while p >= 0:
                    along += weight[p] * score[p]
                    w, other = weight[p] * factor[p], partner[p]
                    for k in range(dim):
                        g[k] += w * partners[other, k]
                    p = after[p]
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
    users: Tensor, items: Tensor, rows: Tensor, columns: Tensor, cosine: bool
) -> tuple[Tensor, Tensor]:
    """Return the scores of users ``rows`` (B,) and items ``columns`` (B, M), and their factors.

    The factor, of the same shape, is what multiplies the inner product: half of both inverse
    lengths for the score ``cos / 2``, else 1.  Ids are not looked at: they have to be the tables'.
    """
    use_threads()
    score, factor = (users.new_empty(columns.shape) for _ in range(2))
    arrays = (x.detach().numpy() for x in (users, items, rows, columns, score, factor))
    _scores(users.shape[1], cosine)(*arrays)
    return score, factor


def move_rows(
    rows: Tensor,
    partners: Tensor,
    partner: Tensor,
    weight: Tensor,
    factor: Tensor,
    score: Tensor,
    cosine: bool,
    state: tuple[Tensor, Tensor, Tensor, Tensor],
    step: int,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> None:
    """Move one side of some pairs by Adam, in place.

    Parameters
    ----------
    rows, partner : Tensor of int64, shape (P,)
        Of each pair the row that is moved, and that of ``partners`` (., d) as it was.
    weight, factor, score : Tensor, shape (P,)
        The derivative of the loss in a pair's score, and what :func:`pair_scores` returned.
    state : tuple of Tensor
        The table, its two moments (M, d), and int64 (M,) for the kernel, -1 before and after.
    step : int
        From 1 on.
    """
    threads, (keep, keep_square) = use_threads(), betas
    rate = lr * math.sqrt(1 - keep_square**step) / (1 - keep**step)
    given = (x.detach().numpy() for x in (rows, partners, partner, weight, factor, score, *state))
    numbers = (f4(x) for x in (1 - keep, 1 - keep_square, rate, eps, weight_decay))
    _move(partners.shape[1], cosine)(*given, *numbers, threads)
