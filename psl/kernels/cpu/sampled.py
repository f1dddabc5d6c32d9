"""The softmax losses of sampled items, and their gradients.

One thread owns a run of the batch's rows.  A row's scores, their logarithms and its sum stay in the
first-level cache; the gradient of the items is taken in a second visit, see :mod:`.buckets`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from psl.kernels.cpu.buckets import (
    SPARE,
    bucket_bits,
    inside,
    products,
    refuse,
    room_for_pairs,
    sort,
    spread,
    weighted,
)
from psl.kernels.cpu.compiling import compiled
from psl.kernels.cpu.maths import HUGE, KINDS, exp, f4, i4, inlined, term, u8
from psl.kernels.cpu.threads import use_threads

__all__ = ["pairwise_softmax"]


@inlined
def _largest(x, count):
    """Return the maximum, sixteen lanes at a time; what is not a number is passed over."""
    lanes = np.empty(16, f4)
    lanes[:] = f4(-np.inf)
    for j in range(0, count - 15, 16):
        for q in range(16):
            lanes[q] = max(lanes[q], x[j + q])
    for j in range(count - count % 16, count):
        lanes[0] = max(lanes[0], x[j])
    top = f4(-np.inf)
    for q in range(16):
        top = max(top, lanes[q])
    return top


@cache
def _loss(activation: str, dim: int) -> Any:
    """Compile value, users' gradient and the weights of the pairs; a known ``dim`` unrolls."""
    kind = KINDS.index(activation)

    @compiled
    def kernel(
        users, items, positive, negative, shift, scale, threads,
        ids, first, weight, pull, grad_users, value, bad,
    ):  # fmt: skip
        (rows, count), num_items = negative.shape, items.shape[0]
        for t in prange(threads):
            at, row = np.empty(first.shape[1] + SPARE, i4), np.empty(count + SPARE, i4)
            score, w = np.empty(count + SPARE, f4), np.empty(count + SPARE, f4)
            u, acc = np.empty(dim + SPARE, f4), np.empty(dim + SPARE, f4)
            for b in range(t * rows // threads, (t + 1) * rows // threads):
                mine = positive[b]
                if mine < 0 or mine >= num_items or not inside(negative, b, num_items):
                    bad[0] = 1
                    continue
                own = f4(0)
                for k in range(dim):
                    u[k] = users[b, k]
                    own += u[k] * items[u8(mine), k]
                sort(negative, b, shift, at, row, first)
                products(u, items, row, count, score, dim)
                top = term(kind, _largest(score, count) - own)[0] * scale  # log sigma is increasing
                total, pulled, seen = f4(0), f4(0), own
                for j in range(count):
                    seen += score[j]
                    log_sigma, slope = term(kind, score[j] - own)
                    e = exp(log_sigma * scale - top)
                    total += e
                    w[j] = e * slope
                    pulled += w[j]
                # A score that is not a number must not hide behind a maximum that ignores it.
                value[b] = top + f4(math.log(total)) if abs(seen) < HUGE else f4(np.nan)
                if len(grad_users) == 0:  # only the value is asked for
                    continue
                norm = scale / (total * f4(rows))
                for j in range(count):
                    w[j] *= norm
                    weight[b, j] = w[j]
                    ids[b, j] = row[j]
                pull[b] = -pulled * norm
                weighted(w, items, row, count, acc, dim)
                for k in range(dim):
                    grad_users[b, k] = acc[k] + pull[b] * items[u8(mine), k]

    return kernel


def pairwise_softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    tau: float,
    activation: str,
    wanted: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each row (B,) and the gradients of its mean, (B, d) and (I, d).

    The gradients are empty if they are not ``wanted``.  Raises IndexError for an item id outside
    the table.
    """
    threads, shift, (rows, count) = use_threads(), bucket_bits(items), negative.shape
    ids, weight, first = room_for_pairs(rows, count, len(items), shift)
    pull, bad = np.empty(rows, f4), np.zeros(1, i4)
    value, grad_users = users.new_empty(rows), torch.empty_like(users if wanted else users[:0])
    u, p = users.numpy(), positive.numpy()
    _loss(activation, users.shape[1])(
        u, items.numpy(), p, negative.numpy(), shift, f4(1 / tau), threads,
        ids, first, weight, pull, grad_users.numpy(), value.numpy(), bad,
    )  # fmt: skip
    refuse(bad, items)
    grad_items = torch.empty_like(items if wanted else items[:0])
    if wanted:
        spread(users.shape[1])(u, p, pull, ids, first, weight, shift, grad_items.numpy())
    return value, grad_users, grad_items
