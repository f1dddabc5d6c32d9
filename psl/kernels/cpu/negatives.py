"""Uniform negatives, and false ones mixed in, in one pass over the ids they return."""

import numpy as np
from numba import njit, prange
from torch import Tensor

from psl.kernels.cpu.compiling import use_threads
from psl.kernels.cpu.maths import i4, u8, uniform


@njit(parallel=True, cache=True)
def _draw(key, indptr, positives, num_items, users, out):
    """Draw ranks among a user's non-positives and shift each past the positives below it.

    Three ways to the same items: a list of the non-positives, where writing it costs less than to
    ask every rank about every positive; that question, where it vectorises; and bisection.
    """
    rows, count = out.shape
    for b in prange(rows):
        first, last = indptr[users[b]], indptr[users[b] + 1]
        degree = last - first
        free = np.float64(num_items - degree)
        for j in range(count):
            out[b, j] = i4(uniform(key, b * count + j) * free)
        if num_items < min(degree, 64) * count:
            listed, item = np.empty(num_items, i4), 0
            for k in range(degree):
                stop = positives[first + k]
                for i in range(item, stop):
                    listed[u8(i - k)] = i4(i)
                item = stop + 1
            for i in range(item, num_items):
                listed[u8(i - degree)] = i4(i)
            for j in range(count):
                out[b, j] = listed[u8(out[b, j])]
        elif degree <= 64 and count >= 8:
            rank = out[b].astype(i4)
            shifted = rank.copy()
            for k in range(degree):
                below = i4(positives[first + k] - k)
                for j in range(count):
                    shifted[j] += i4(rank[j] >= below)
            for j in range(count):
                out[b, j] = shifted[j]
        else:
            for j in range(count):
                low, high = first, last
                while low < high:
                    middle = (low + high) // 2
                    if positives[middle] - (middle - first) <= out[b, j]:
                        low = middle + 1
                    else:
                        high = middle
                out[b, j] += low - first


@njit(parallel=True, cache=True)
def _replace(coin, which, ratio, indptr, marked, users, out):
    rows, count = out.shape
    for b in prange(rows):
        first, number = indptr[users[b]], indptr[users[b] + 1] - indptr[users[b]]
        if number == 0:
            continue
        for j in range(count):
            slot = b * count + j
            if uniform(coin, slot) < ratio:
                out[b, j] = marked[first + np.int64(uniform(which, slot) * number)]


def uniform_negatives(
    key: int, indptr: Tensor, positives: Tensor, num_items: int, users: Tensor, count: int
) -> Tensor:
    """Return items uniform over each user's non-positives, shape (B, count), int64."""
    use_threads()
    out = users.new_empty(len(users), count)
    _draw(u8(key), indptr.numpy(), positives.numpy(), num_items, users.numpy(), out.numpy())
    return out


def mix_in(
    coin: int, which: int, ratio: float, indptr: Tensor, marked: Tensor, users: Tensor, out: Tensor
) -> Tensor:
    """Replace each item of ``out`` (B, N), with probability ``ratio``, by one of its user's marked.

    ``coin`` and ``which`` are the keys of the two draws.
    """
    use_threads()
    ids = (indptr.numpy(), marked.numpy(), users.numpy(), out.numpy())
    _replace(u8(coin), u8(which), ratio, *ids)
    return out
