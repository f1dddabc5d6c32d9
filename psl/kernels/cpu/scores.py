"""Scores against sampled items, and their gradients."""

from __future__ import annotations

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
from psl.kernels.cpu.maths import f4, i4, u8
from psl.kernels.cpu.threads import use_threads

__all__ = ["scatter_scores", "scores"]


@cache
def _scores(dim: int) -> Any:
    @compiled
    def kernel(users, items, columns, threads, out, bad):
        rows, count = columns.shape
        for t in prange(threads):
            row, score = np.empty(count + SPARE, i4), np.empty(count + SPARE, f4)
            u = np.empty(dim + SPARE, f4)
            for b in range(t * rows // threads, (t + 1) * rows // threads):
                if not inside(columns, b, items.shape[0]):
                    bad[0] = 1
                    continue
                for k in range(dim):
                    u[k] = users[b, k]
                for j in range(count):
                    row[j] = i4(columns[b, j])
                products(u, items, row, count, score, dim)
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
                sort(columns, b, shift, at, ids[b], first)
                # Once more in the same order: each weight goes where its id went.
                for c in range(first.shape[1]):
                    at[c] = first[b, c]
                for j in range(count):
                    mine = u8(columns[b, j] >> shift)
                    weight[b, u8(at[mine])] = given[b, j]
                    at[mine] += i4(1)
                weighted(weight[b], items, ids[b], count, acc, dim)
                for k in range(dim):
                    grad_users[b, k] = acc[k]

    return kernel


def scores(users: Tensor, items: Tensor, columns: Tensor) -> Tensor:
    """Return the inner products of each row with its own items, shape (B, M).

    Raises IndexError for an item id outside the table.
    """
    out, bad = users.new_empty(columns.shape), np.zeros(1, i4)
    threads = use_threads()
    _scores(users.shape[1])(
        users.numpy(), items.numpy(), columns.numpy(), threads, out.numpy(), bad
    )
    refuse(bad, items)
    return out


def scatter_scores(
    users: Tensor, items: Tensor, columns: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``(weight * scores).sum()`` in users (B, d) and items (I, d)."""
    threads, shift = use_threads(), bucket_bits(items)
    rows, count = columns.shape
    ids, sorted_weight, first = room_for_pairs(rows, count, len(items), shift)
    grad_users, grad_items = torch.empty_like(users), torch.empty_like(items)
    _gather(users.shape[1])(
        items.numpy(), columns.numpy(), weight.numpy(), shift, threads,
        ids, first, sorted_weight, grad_users.numpy(),
    )  # fmt: skip
    nobody, nothing = np.empty(0, np.int64), np.empty(0, f4)
    spread(users.shape[1])(
        users.numpy(), nobody, nothing, ids, first, sorted_weight, shift, grad_items.numpy()
    )
    return grad_users, grad_items
