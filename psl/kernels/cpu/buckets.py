"""What the visits to sampled items share.

A row's ids are sorted into a few buckets of neighbouring items.  The gradient of the items is taken
one bucket at a time, so that the rows it adds to stay in the second-level cache, and each item is
written by one thread alone.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
from numba import prange
from torch import Tensor

from psl.kernels.cpu.compiling import compiled
from psl.kernels.cpu.maths import f4, i4, inlined, u8

BUCKET_BYTES, MOST_BUCKETS = 128 * 1024, 64
# Scratch arrays are longer than needed.  Before a vectorised loop the compiled code checks that its
# arrays are a vector's length apart, and if not adds up one by one, in another order: short
# neighbours would give other bits from call to call.
SPARE = 128


def bucket_bits(items: Tensor) -> int:
    """Return the bits of an id that count within a bucket."""
    fits = max(BUCKET_BYTES // (4 * items.shape[1]), 1).bit_length() - 1
    few = ((len(items) - 1) // MOST_BUCKETS).bit_length()
    return max(fits, few)


@inlined
def inside(columns, b, num_items):
    """Say whether every id of a row is one of the table's."""
    outside = False
    for j in range(columns.shape[1]):
        outside |= columns[b, j] < 0 or columns[b, j] >= num_items
    return not outside


@inlined
def sort(columns, b, shift, at, ids, first):
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
        bucket = u8(columns[b, j] >> shift)
        ids[u8(at[bucket])] = i4(columns[b, j])
        at[bucket] += i4(1)


@inlined
def products(u, items, ids, count, out, dim):
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
def weighted(weight, items, ids, count, acc, dim):
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


@cache
def item_gradient(dim: int) -> Any:
    """Compile the items' gradient: each thread takes whole buckets, and all rows of the batch."""

    @compiled
    def kernel(users, positive, pos_weight, ids, first, weight, shift, grad_items):
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
                        grad_items[u8(positive[b]), k] += pos_weight[b] * u[k]

    return kernel


_cache = threading.local()


def pair_workspace(
    rows: int, count: int, num_items: int, shift: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return memory for the pairs' ids, their weights, and where a row's buckets begin.

    A thread's last is used again if it fits: fresh memory has to be mapped page by page.
    """
    shape = (rows, count, ((num_items - 1) >> shift) + 1)
    if getattr(_cache, "shape", None) != shape:
        ids, weight = np.empty((rows, count), i4), np.empty((rows, count), f4)
        _cache.shape, _cache.workspace = shape, (ids, weight, np.empty((rows, shape[2] + 1), i4))
    workspace: tuple[np.ndarray, np.ndarray, np.ndarray] = _cache.workspace
    return workspace


def raise_if_outside(bad_id: np.ndarray, items: Tensor) -> None:
    """Raise an IndexError if a kernel met an id outside the table."""
    if bad_id[0]:
        raise IndexError(f"an item id is not in 0 .. {len(items) - 1}")
