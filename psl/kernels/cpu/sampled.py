"""Scores against sampled items, the softmax losses of them, and the gradients of both.

One thread owns a run of the batch's rows.  A row's ids are first sorted into a few buckets of
neighbouring items; its scores, their logarithms and its sum stay in the first-level cache.  The
gradient of the items is taken in a second visit, one bucket at a time, so that the rows it adds to
stay in the second-level cache, and each item is written by one thread alone.
"""

from __future__ import annotations

import math
import threading
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from psl.kernels.cpu.compiling import compiled
from psl.kernels.cpu.maths import HUGE, KINDS, exp, f4, i4, inlined, term, u8
from psl.kernels.cpu.threads import use_threads

__all__ = ["pairwise_softmax", "scatter_scores", "scores"]

BUCKET_BYTES, MOST_BUCKETS = 128 * 1024, 64
# Scratch is longer than it need be.  Before a vectorised loop the compiled code asks whether its
# arrays are a vector's length apart, and if not adds up one by one, in another order: short
# neighbours would give other bits from call to call.
SPARE = 128


def _shift(items: Tensor) -> int:
    """Return the bits of an id that count within a bucket."""
    fits = max(BUCKET_BYTES // (4 * items.shape[1]), 1).bit_length() - 1
    few = ((len(items) - 1) // MOST_BUCKETS).bit_length()
    return max(fits, few)


@inlined
def _inside(columns, b, num_items):
    wrong = False
    for j in range(columns.shape[1]):
        wrong |= columns[b, j] < 0 or columns[b, j] >= num_items
    return not wrong


@inlined
def _sort(columns, b, shift, at, ids, first):
    """Sort a row's ids by bucket, into ``ids``; bucket c is ``first[b, c] .. first[b, c + 1]``."""
    count, buckets = columns.shape[1], first.shape[1] - 1
    for c in range(buckets + 1):
        at[c] = i4(0)
    for j in range(count):
        at[u8(columns[b, j] >> shift) + u8(1)] += i4(1)
    for c in range(buckets):
        at[c + 1] += at[c]
    for c in range(buckets + 1):
        first[b, c] = at[c]
    for j in range(count):
        mine = u8(columns[b, j] >> shift)
        ids[u8(at[mine])] = i4(columns[b, j])
        at[mine] += i4(1)


@inlined
def _products(u, items, ids, count, out, dim):
    """Take inner products, four items at a time; ``ids`` and ``out`` have room for more."""
    for j in range(count, count + 3):
        ids[j] = ids[count - 1]
    for j in range(0, count, 4):
        a0, a1, a2, a3 = u8(ids[j]), u8(ids[j + 1]), u8(ids[j + 2]), u8(ids[j + 3])
        x0, x1, x2, x3 = f4(0), f4(0), f4(0), f4(0)
        for k in range(dim):
            x0 += u[k] * items[a0, k]
            x1 += u[k] * items[a1, k]
            x2 += u[k] * items[a2, k]
            x3 += u[k] * items[a3, k]
        out[j], out[j + 1], out[j + 2], out[j + 3] = x0, x1, x2, x3


@inlined
def _weighted(weight, items, ids, count, acc, dim):
    """Set ``acc`` to the weighted sum of items, eight at a time."""
    for k in range(dim):
        acc[k] = f4(0)
    for j in range(0, count - 7, 8):
        a0, a1, a2, a3 = u8(ids[j]), u8(ids[j + 1]), u8(ids[j + 2]), u8(ids[j + 3])
        a4, a5, a6, a7 = u8(ids[j + 4]), u8(ids[j + 5]), u8(ids[j + 6]), u8(ids[j + 7])
        w0, w1, w2, w3 = weight[j], weight[j + 1], weight[j + 2], weight[j + 3]
        w4, w5, w6, w7 = weight[j + 4], weight[j + 5], weight[j + 6], weight[j + 7]
        for k in range(dim):
            acc[k] += (
                w0 * items[a0, k]
                + w1 * items[a1, k]
                + w2 * items[a2, k]
                + w3 * items[a3, k]
                + w4 * items[a4, k]
                + w5 * items[a5, k]
                + w6 * items[a6, k]
                + w7 * items[a7, k]
            )
    for j in range(count - count % 8, count):
        for k in range(dim):
            acc[k] += weight[j] * items[u8(ids[j]), k]


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
                if mine < 0 or mine >= num_items or not _inside(negative, b, num_items):
                    bad[0] = 1
                    continue
                own = f4(0)
                for k in range(dim):
                    u[k] = users[b, k]
                    own += u[k] * items[u8(mine), k]
                _sort(negative, b, shift, at, row, first)
                _products(u, items, row, count, score, dim)
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
                norm = scale / (total * f4(rows))
                for j in range(count):
                    w[j] *= norm
                    weight[b, j] = w[j]
                    ids[b, j] = row[j]
                pull[b] = -pulled * norm
                _weighted(w, items, row, count, acc, dim)
                for k in range(dim):
                    grad_users[b, k] = acc[k] + pull[b] * items[u8(mine), k]

    return kernel


@cache
def _scores(dim: int) -> Any:
    @compiled
    def kernel(users, items, columns, threads, out, bad):
        rows, count = columns.shape
        for t in prange(threads):
            row, score = np.empty(count + SPARE, i4), np.empty(count + SPARE, f4)
            u = np.empty(dim + SPARE, f4)
            for b in range(t * rows // threads, (t + 1) * rows // threads):
                if not _inside(columns, b, items.shape[0]):
                    bad[0] = 1
                    continue
                for k in range(dim):
                    u[k] = users[b, k]
                for j in range(count):
                    row[j] = i4(columns[b, j])
                _products(u, items, row, count, score, dim)
                for j in range(count):
                    out[b, j] = score[j]

    return kernel


@cache
def _gather(dim: int) -> Any:
    """Compile the users' gradient, with ids and weights sorted by bucket for the items' own."""

    @compiled
    def kernel(items, columns, given, shift, threads, ids, first, weight, grad_users):
        rows, count = columns.shape
        for t in prange(threads):
            at, acc = np.empty(first.shape[1] + SPARE, i4), np.empty(dim + SPARE, f4)
            for b in range(t * rows // threads, (t + 1) * rows // threads):
                _sort(columns, b, shift, at, ids[b], first)
                # Once more in the same order: each weight goes where its id went.
                for c in range(first.shape[1]):
                    at[c] = first[b, c]
                for j in range(count):
                    mine = u8(columns[b, j] >> shift)
                    weight[b, u8(at[mine])] = given[b, j]
                    at[mine] += i4(1)
                _weighted(weight[b], items, ids[b], count, acc, dim)
                for k in range(dim):
                    grad_users[b, k] = acc[k]

    return kernel


@cache
def _spread(dim: int) -> Any:
    """Compile the items' gradient: each thread takes whole buckets, and all rows of the batch."""

    @compiled
    def kernel(users, positive, pull, ids, first, weight, shift, grad_items):
        for c in prange(first.shape[1] - 1):
            u = np.empty(dim, f4)
            for i in range(c << shift, min((c + 1) << shift, grad_items.shape[0])):
                for k in range(dim):
                    grad_items[i, k] = f4(0)
            for b in range(users.shape[0]):
                for k in range(dim):
                    u[k] = users[b, k]
                for j in range(first[b, c], first[b, c + 1]):
                    w, item = weight[b, u8(j)], u8(ids[b, u8(j)])
                    for k in range(dim):
                        grad_items[item, k] += w * u[k]
                if positive.shape[0] > 0 and positive[b] >> shift == c:
                    for k in range(dim):
                        grad_items[u8(positive[b]), k] += pull[b] * u[k]

    return kernel


def pairwise_softmax(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, tau: float, activation: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each row (B,) and the gradients of its mean, (B, d) and (I, d).

    Raises IndexError for an item id outside the table.
    """
    threads, shift, (rows, count) = use_threads(), _shift(items), negative.shape
    ids, weight, first = _pairs(rows, count, len(items), shift)
    pull, bad = np.empty(rows, f4), np.zeros(1, i4)
    value, grad_users = users.new_empty(rows), torch.empty_like(users)
    u, p = users.numpy(), positive.numpy()
    _loss(activation, users.shape[1])(
        u, items.numpy(), p, negative.numpy(), shift, f4(1 / tau), threads,
        ids, first, weight, pull, grad_users.numpy(), value.numpy(), bad,
    )  # fmt: skip
    _refuse(bad, items)
    grad_items = torch.empty_like(items)
    _spread(users.shape[1])(u, p, pull, ids, first, weight, shift, grad_items.numpy())
    return value, grad_users, grad_items


def scores(users: Tensor, items: Tensor, columns: Tensor) -> Tensor:
    """Return the inner products of each row with its own items, shape (B, M).

    Raises IndexError for an item id outside the table.
    """
    out, bad = users.new_empty(columns.shape), np.zeros(1, i4)
    threads = use_threads()
    _scores(users.shape[1])(
        users.numpy(), items.numpy(), columns.numpy(), threads, out.numpy(), bad
    )
    _refuse(bad, items)
    return out


def scatter_scores(
    users: Tensor, items: Tensor, columns: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``(weight * scores).sum()`` in users (B, d) and items (I, d)."""
    threads, shift = use_threads(), _shift(items)
    rows, count = columns.shape
    ids, sorted_weight, first = _pairs(rows, count, len(items), shift)
    grad_users, grad_items = torch.empty_like(users), torch.empty_like(items)
    _gather(users.shape[1])(
        items.numpy(), columns.numpy(), weight.numpy(), shift, threads,
        ids, first, sorted_weight, grad_users.numpy(),
    )  # fmt: skip
    nobody, nothing = np.empty(0, np.int64), np.empty(0, f4)
    _spread(users.shape[1])(
        users.numpy(), nobody, nothing, ids, first, sorted_weight, shift, grad_items.numpy()
    )
    return grad_users, grad_items


_kept = threading.local()


def _pairs(
    rows: int, count: int, num_items: int, shift: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make room for the ids of the pairs, their weights, and where a row's buckets begin.

    The thread's last room is used again if it fits: fresh memory has to be mapped page by page.
    """
    shape = (rows, count, ((num_items - 1) >> shift) + 1)
    if getattr(_kept, "shape", None) != shape:
        ids, weight = np.empty((rows, count), i4), np.empty((rows, count), f4)
        _kept.shape, _kept.room = shape, (ids, weight, np.empty((rows, shape[2] + 1), i4))
    room: tuple[np.ndarray, np.ndarray, np.ndarray] = _kept.room
    return room


def _refuse(bad: np.ndarray, items: Tensor) -> None:
    if bad[0]:
        raise IndexError(f"an item id is not in 0 .. {len(items) - 1}")
