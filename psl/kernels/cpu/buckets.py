"""A row's sampled ids, sorted into a few buckets of neighbouring items.

The gradient of the items is taken one bucket at a time, so that the rows it adds to stay in the
second-level cache, and each item is written by one thread alone.
"""

import threading

import numpy as np
from torch import Tensor

from psl.kernels.cpu.maths import f4, helper, i4, u8

BUCKET_BYTES, MOST_BUCKETS = 128 * 1024, 64


def bucket_bits(items: Tensor) -> int:
    """Return the bits of an id that count within a bucket."""
    fits = max(BUCKET_BYTES // (4 * items.shape[1]), 1).bit_length() - 1
    few = ((len(items) - 1) // MOST_BUCKETS).bit_length()
    return max(fits, few)


@helper
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


_cache = threading.local()


def pair_workspace(
    batch: int, count: int, num_items: int, shift: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return memory for the pairs' ids, their weights, and where a row's buckets begin.

    A thread's last is used again if it fits: fresh memory has to be mapped page by page.
    """
    shape = (batch, count, ((num_items - 1) >> shift) + 1)
    if getattr(_cache, "shape", None) != shape:
        ids, weight = np.empty((batch, count), i4), np.empty((batch, count), f4)
        _cache.shape, _cache.workspace = shape, (ids, weight, np.empty((batch, shape[2] + 1), i4))
    workspace: tuple[np.ndarray, np.ndarray, np.ndarray] = _cache.workspace
    return workspace
