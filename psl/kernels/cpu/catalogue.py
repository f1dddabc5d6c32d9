"""The softmax losses against the whole catalogue, or against most of it, each item counted.

A thousand draws from twelve hundred items hit nearly all of them.  Then three dense matrix products
cost less than a thousand visits, and a row's draws are a number for each item.  With every number 1
the same code is the loss over the full catalogue, without any sampling (equation 4.1 as printed).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from psl.kernels.cpu.buckets import SPARE, refuse
from psl.kernels.cpu.compiling import compiled
from psl.kernels.cpu.maths import HUGE, KINDS, exp, f4, i4, term, u8
from psl.kernels.cpu.threads import use_threads
from psl.kernels.products import matmul, same_bits

__all__ = ["catalogue_softmax"]

# Scores at once: what a second-level cache holds, but enough rows to keep a product busy.
BLOCK_BYTES, ROWS, MOST_BYTES = 1 << 20, 128, 1 << 25


@cache
def _weights(activation: str) -> Any:
    """Compile scores -> loss, and in their place the weight of each item."""
    kind = KINDS.index(activation)

    @compiled
    def kernel(score, positive, negative, scale, batch, threads, value, bad):
        (rows, num_items), count = score.shape, negative.shape[1]
        for t in prange(threads):
            times, lanes = np.empty(num_items + SPARE, i4), np.empty(16, f4)
            times[:] = i4(1)
            for b in range(t * rows // threads, (t + 1) * rows // threads):
                s, mine, wrong = score[b], positive[b], False
                for j in range(count):
                    wrong |= negative[b, j] < 0 or negative[b, j] >= num_items
                if wrong or mine < 0 or mine >= num_items:
                    bad[0] = 1
                    continue
                if count > 0:
                    times[:] = i4(0)
                    for j in range(count):
                        times[u8(negative[b, j])] += i4(1)
                own = s[u8(mine)]
                # Loads stand before the questions: what is always read can be chosen branch-free.
                lanes[:] = f4(-np.inf)
                for j in range(0, num_items - 15, 16):
                    for q in range(16):
                        x, drawn = s[j + q], times[j + q] > 0
                        lanes[q] = max(lanes[q], x if drawn else f4(-np.inf))
                for j in range(num_items - num_items % 16, num_items):
                    x, drawn = s[j], times[j] > 0
                    lanes[0] = max(lanes[0], x if drawn else f4(-np.inf))
                largest = f4(-np.inf)
                for q in range(16):
                    largest = max(largest, lanes[q])
                top = term(kind, largest - own)[0] * scale  # log sigma is increasing
                total, pulled, seen = f4(0), f4(0), own
                for j in range(num_items):
                    x, drawn = s[j], f4(times[j])
                    x = x if drawn > f4(0) else largest
                    seen += x
                    log_sigma, slope = term(kind, x - own)
                    e = exp(log_sigma * scale - top) * drawn
                    total += e
                    s[j] = e * slope
                    pulled += s[j]
                # A score that is not a number must not hide behind a maximum that ignores it.
                value[b] = top + f4(math.log(total)) if abs(seen) < HUGE else f4(np.nan)
                norm = scale / (total * f4(batch))
                for j in range(num_items):
                    s[j] *= norm
                s[u8(mine)] -= pulled * norm

    return kernel


def catalogue_softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    tau: float,
    activation: str,
    wanted: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each row (B,) and the gradients of its mean, (B, d) and (I, d).

    ``negative`` (B, N) are the sampled items; ``None`` means every item once, the positive too.
    The gradients are empty if they are not ``wanted``.  Memory beyond inputs and outputs is 1 to
    32 MiB.  Raises IndexError for a wrong id.
    """
    if negative is None:
        negative = positive.new_empty(len(positive), 0)  # none drawn: the kernel takes them all
    threads, kernel = use_threads(), _weights(activation)
    value, bad = users.new_empty(len(users)), np.zeros(1, i4)
    grad_users, grad_items = (torch.zeros_like(x if wanted else x[:0]) for x in (users, items))
    row_bytes = 4 * len(items)
    step = max(BLOCK_BYTES // row_bytes, min(ROWS, MOST_BYTES // row_bytes), 1)
    shape = min(step, len(users)), len(items)
    # Spare room behind the scores too: see SPARE.
    room = users.new_empty(shape[0] * shape[1] + SPARE)[:-SPARE].view(shape)
    for start in range(0, len(users), step):
        part = slice(start, start + step)
        u = users[part]
        score = matmul(u, items.T, out=room[: len(u)])
        kernel(
            score.numpy(),
            positive[part].numpy(),
            negative[part].numpy(),
            f4(1 / tau),
            len(users),
            threads,
            value[part].numpy(),
            bad,
        )
        refuse(bad, items)
        if wanted:
            matmul(score, items, out=grad_users[part])
            with same_bits(*items.shape):
                grad_items.addmm_(score.T, u)
    return value, grad_users, grad_items
