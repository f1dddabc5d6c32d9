"""CPU kernels of the sampled loss and of the sampler, compiled by numba (extra ``fast``).

One thread owns a run of the batch's rows, and a row's thousand terms stay in its first-level cache:
scores, logarithms, sum and the gradient of users and items are taken in one visit, so nothing of
size ``B x N`` but the ids is ever in memory.  The rows of a thread, and the order in which the
threads' item gradients are added, depend on the number of threads alone: the same number gives the
same bits.

Nothing here is imported unless numba is there; the plain torch road of :mod:`psl.scoring` and
:mod:`psl.negatives` gives the same numbers and is the oracle.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import get_num_threads, njit, prange, set_num_threads
from torch import Tensor

__all__ = ["pairwise_softmax", "scatter_scores", "scores", "uniform_negatives"]

AVAILABLE = get_num_threads()
# Sums may be regrouped and fused; NaN and infinity keep their meaning: a diverging run must show.
FAST = {"reassoc", "contract", "nsz", "arcp"}
f4, i4 = np.float32, np.int32
EPS = f4(np.finfo(np.float32).eps)
LN2, HUGE = f4(math.log(2)), f4(np.finfo(np.float32).max)


@njit(inline="always", fastmath=FAST)
def _exp(x):
    """Exponential, branch-free so that it vectorises: 2^k times a series on |f| <= 1/2.

    Relative error 1e-7 (2 + |x|): the rounding of the exponent, as small as it matters here, where
    a term far from the largest hardly counts.
    """
    x = min(max(x, f4(-87)), f4(88)) * f4(1.4426950408889634)
    k = np.floor(x + f4(0.5))
    f = (x - k) * LN2
    p = f4(1 / 5040)
    p = p * f + f4(1 / 720)
    p = p * f + f4(1 / 120)
    p = p * f + f4(1 / 24)
    p = p * f + f4(1 / 6)
    p = p * f + f4(1 / 2)
    p = p * f + f4(1)
    p = p * f + f4(1)
    return p * i4((i4(k) + i4(127)) << i4(23)).view(np.float32)


@njit(inline="always", fastmath=FAST)
def _log(x):
    """Logarithm of a positive number to 2e-7: e log 2 + 2 atanh(r), r = (m - 1) / (m + 1)."""
    bits = f4(x).view(np.int32)
    e = (bits - i4(0x3F3504F3)) >> i4(23)  # m in [sqrt(1/2), sqrt(2))
    m = i4(bits - i4(e << i4(23))).view(np.float32)
    r = (m - f4(1)) / (m + f4(1))
    z = r * r
    p = f4(2 / 9)
    p = p * z + f4(2 / 7)
    p = p * z + f4(2 / 5)
    p = p * z + f4(2 / 3)
    p = p * z + f4(2)
    return p * r + f4(e) * LN2


# Each returns log sigma(d) and its derivative; equation 4.2 and Appendix C.2.


@njit(inline="always", fastmath=FAST)
def _term_exp(d):
    return d, f4(1)


@njit(inline="always", fastmath=FAST)
def _term_relu(d):
    x = max(f4(1) + d, EPS)
    return _log(x), (f4(1) / x if x > EPS else f4(0))


@njit(inline="always", fastmath=FAST)
def _term_tanh(d):
    e = _exp(f4(-2) * d)  # 1 + tanh d = 2 / (1 + exp(-2 d))
    return LN2 - _log(f4(1) + e), f4(2) * e / (f4(1) + e)


@njit(inline="always", fastmath=FAST)
def _term_atan(d):
    x = max(f4(1) + f4(math.atan(d)), EPS)
    return _log(x), (f4(1) / (x * (f4(1) + d * d)) if x > EPS else f4(0))


@njit(inline="always", fastmath=FAST)
def _term_softplus(d):
    e = _exp(d)
    return _log(f4(1) + e), e / (f4(1) + e)


TERMS = {
    "exp": _term_exp,
    "tanh": _term_tanh,
    "atan": _term_atan,
    "relu": _term_relu,
    "softplus": _term_softplus,
}


@cache
def _softmax_kernel(activation: str, dim: int) -> Any:
    """Compile the fused loss; a known ``dim`` keeps a row's embedding in registers."""
    term = TERMS[activation]

    @njit(parallel=True, fastmath=FAST, cache=True)
    def kernel(users, items, positive, negative, scale, grad_users, grad_items, value, bad):
        threads, rows, count = grad_items.shape[0], users.shape[0], negative.shape[1]
        for t in prange(threads):
            grad = grad_items[t]
            grad[:] = f4(0)
            log_sigma, slope = np.empty(count, f4), np.empty(count, f4)
            u, acc = np.empty(dim, f4), np.empty(dim, f4)
            for b in range(t * rows // threads, (t + 1) * rows // threads):
                own, mine, wrong = f4(0), positive[b], False
                for j in range(count):
                    wrong |= negative[b, j] < 0 or negative[b, j] >= items.shape[0]
                if wrong or mine < 0 or mine >= items.shape[0]:
                    bad[0] = 1
                    continue
                for k in range(dim):
                    u[k] = users[b, k]
                    acc[k] = f4(0)
                    own += u[k] * items[mine, k]
                seen = own
                for j in range(count):
                    s, item = f4(0), negative[b, j]
                    for k in range(dim):
                        s += u[k] * items[item, k]
                    log_sigma[j] = s - own
                    seen += s
                top = f4(-np.inf)
                for j in range(count):
                    h, dh = term(log_sigma[j])
                    log_sigma[j], slope[j] = h * scale, dh * scale
                    top = max(top, log_sigma[j])
                total = f4(0)
                for j in range(count):
                    e = _exp(log_sigma[j] - top)
                    total += e
                    slope[j] *= e
                value[b] = top + f4(math.log(total))
                # A score that is not a number must not hide behind a maximum that ignores it.
                if not abs(seen) < HUGE:
                    value[b] = f4(np.nan)
                norm, all_weights = f4(1) / (total * f4(rows)), f4(0)
                for j in range(count):
                    w, item = slope[j] * norm, negative[b, j]
                    all_weights += w
                    for k in range(dim):
                        acc[k] += w * items[item, k]
                        grad[item, k] += w * u[k]
                for k in range(dim):
                    grad_users[b, k] = acc[k] - all_weights * items[mine, k]
                    grad[mine, k] -= all_weights * u[k]

    return kernel


@cache
def _scores_kernel(dim: int) -> Any:
    @njit(parallel=True, fastmath=FAST, cache=True)
    def kernel(users, items, columns, out, bad):
        for b in prange(users.shape[0]):
            wrong = False
            for j in range(columns.shape[1]):
                wrong |= columns[b, j] < 0 or columns[b, j] >= items.shape[0]
            if wrong:
                bad[0] = 1
                continue
            u = np.empty(dim, f4)
            for k in range(dim):
                u[k] = users[b, k]
            for j in range(columns.shape[1]):
                s, item = f4(0), columns[b, j]
                for k in range(dim):
                    s += u[k] * items[item, k]
                out[b, j] = s

    return kernel


@cache
def _scatter_kernel(dim: int) -> Any:
    @njit(parallel=True, fastmath=FAST, cache=True)
    def kernel(users, items, columns, weight, grad_users, grad_items):
        threads, rows = grad_items.shape[0], users.shape[0]
        for t in prange(threads):
            grad = grad_items[t]
            grad[:] = f4(0)
            u, acc = np.empty(dim, f4), np.empty(dim, f4)
            for b in range(t * rows // threads, (t + 1) * rows // threads):
                for k in range(dim):
                    u[k] = users[b, k]
                    acc[k] = f4(0)
                for j in range(columns.shape[1]):
                    w, item = weight[b, j], columns[b, j]
                    for k in range(dim):
                        acc[k] += w * items[item, k]
                        grad[item, k] += w * u[k]
                for k in range(dim):
                    grad_users[b, k] = acc[k]

    return kernel


@njit(parallel=True, cache=True)
def _negatives_kernel(key, indptr, positives, num_items, users, out):
    """Draw ranks among a user's non-positives and shift each past the positives below it."""
    rows, count = out.shape
    for b in prange(rows):
        first, last = indptr[users[b]], indptr[users[b] + 1]
        free = np.float64(num_items - (last - first))
        rank = np.empty(count, np.int64)
        for j in range(count):
            h = key + np.uint64(b * count + j) * np.uint64(0x9E3779B97F4A7C15)
            h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            h = h ^ (h >> np.uint64(31))
            rank[j] = np.int64(np.float64(h >> np.uint64(11)) * (1.0 / 9007199254740992.0) * free)
        if last - first <= 64:
            for j in range(count):
                out[b, j] = rank[j]
            for k in range(first, last):
                below = positives[k] - (k - first)
                for j in range(count):
                    out[b, j] += rank[j] >= below
        else:
            for j in range(count):
                low, high = first, last
                while low < high:
                    middle = (low + high) // 2
                    if positives[middle] - (middle - first) <= rank[j]:
                        low = middle + 1
                    else:
                        high = middle
                out[b, j] = rank[j] + (low - first)


def _threads() -> int:
    count = min(torch.get_num_threads(), AVAILABLE)
    set_num_threads(count)
    return count


def pairwise_softmax(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, tau: float, activation: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each row (B,) and the gradients of its mean, (B, d) and (I, d).

    Raises IndexError for an item id outside the table.
    """
    threads = _threads()
    value, grad_users = users.new_empty(len(users)), torch.empty_like(users)
    grad_items = items.new_empty(threads, *items.shape)
    _softmax_kernel(activation, users.shape[1])(
        users.numpy(),
        items.numpy(),
        positive.numpy(),
        negative.numpy(),
        f4(1 / tau),
        grad_users.numpy(),
        grad_items.numpy(),
        value.numpy(),
        bad := np.zeros(1, i4),
    )
    _refuse(bad, items)
    return value, grad_users, _add_up(grad_items)


def scores(users: Tensor, items: Tensor, columns: Tensor) -> Tensor:
    """Return the inner products of each row with its own items, shape (B, M).

    Raises IndexError for an item id outside the table.
    """
    _threads()
    out = users.new_empty(columns.shape)
    bad = np.zeros(1, i4)
    _scores_kernel(users.shape[1])(users.numpy(), items.numpy(), columns.numpy(), out.numpy(), bad)
    _refuse(bad, items)
    return out


def scatter_scores(
    users: Tensor, items: Tensor, columns: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``(weight * scores).sum()`` in users (B, d) and items (I, d)."""
    threads = _threads()
    grad_users, grad_items = torch.empty_like(users), items.new_empty(threads, *items.shape)
    _scatter_kernel(users.shape[1])(
        users.numpy(),
        items.numpy(),
        columns.numpy(),
        weight.numpy(),
        grad_users.numpy(),
        grad_items.numpy(),
    )
    return grad_users, _add_up(grad_items)


def uniform_negatives(
    key: int, indptr: Tensor, positives: Tensor, num_items: int, users: Tensor, count: int
) -> Tensor:
    """Return items uniform over each user's non-positives, shape (B, count), int64."""
    _threads()
    out = torch.empty(len(users), count, dtype=torch.int64)
    _negatives_kernel(
        np.uint64(key), indptr.numpy(), positives.numpy(), num_items, users.numpy(), out.numpy()
    )
    return out


def _refuse(bad: np.ndarray, items: Tensor) -> None:
    if bad[0]:
        raise IndexError(f"an item id is not in 0 .. {len(items) - 1}")


def _add_up(parts: Tensor) -> Tensor:
    out = parts[0]
    for part in parts[1:]:
        out += part
    return out
