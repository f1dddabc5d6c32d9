"""A step of Adam on the rows of two tables that stand in a batch's pairs, and on no other row."""

from functools import cache
from typing import Any

import numpy as np
from numba import prange
from torch import Tensor

from psl.kernels.cpu.compiling import SPARE, compiled, use_threads
from psl.kernels.cpu.maths import f4, u8


@cache
def _move(dim: int) -> Any:
    @compiled
    def kernel(
        users, columns, before, weight, tables, means, squares, slots,
        take, take_square, rate, eps, decay, threads,
    ):  # fmt: skip
        count, flat = columns.shape[1], columns.reshape(-1)
        for side in range(2):
            # A user has a row of the batch, an item one pair.  What stands more than once is a
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
                    n = head[place]
                    row = u8(rows[n])
                    slot[row] = -1
                    for k in range(dim):
                        g[k] = decay * table[row, k]
                    while n >= 0:
                        for p in range(n * each, (n + 1) * each):
                            b = p // count
                            w, other = weight[b, p % count], u8(flat[p] if side == 0 else b)
                            for k in range(dim):
                                g[k] += w * partners[other, k]
                        n = after[n]
                    for k in range(dim):
                        mean[row, k] += take * (g[k] - mean[row, k])
                        square[row, k] += take_square * (g[k] * g[k] - square[row, k])
                        table[row, k] -= rate * mean[row, k] / (np.sqrt(square[row, k]) + eps)

    return kernel


def sparse_adam_step(
    batch: tuple[Tensor, ...], states: tuple[tuple[Tensor, Tensor], ...], numbers: tuple[float, ...]
) -> None:
    """Move users and items of a batch by the gradient of their inner products, in place.

    ``batch`` are the users (B,), their items (B, M), the users' rows as they are (B, d), and the
    derivative of the loss in each product (B, M); ids have to be the tables'.  ``states`` are both
    tables, their first moments, their second, and memory of the kernel: int64 (rows,), all -1.
    ``numbers``: what moments take of a gradient and its square, step size, epsilon, weight decay.
    """
    threads, kernel = use_threads(), _move(batch[2].shape[1])
    both = (tuple(x.detach().numpy() for x in state) for state in states)
    kernel(*(x.detach().numpy() for x in batch), *both, *map(f4, numbers), threads)
