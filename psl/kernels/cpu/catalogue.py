"""The softmax losses against the whole catalogue, or against most of it, each item counted.

A thousand draws from twelve hundred items hit nearly all of them.  Then three dense matrix products
cost less than a thousand visits, and a row's draws are a number for each item.  With every number 1
the same code is the loss over the full catalogue, without any sampling (equation 4.1 as printed).
"""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psl.kernels.cpu.compiling import SPARE, over_threads, raise_if_outside
from psl.kernels.cpu.maths import ACTIVATIONS, HUGE, exp, f4, i4, log_sigma_and_slope, u8
from psl.kernels.cpu.sampled import inside
from psl.kernels.products import matmul, same_bits

# Scores at once: what a second-level cache holds, but enough rows to keep a product busy.
BLOCK_BYTES, ROWS, MOST_BYTES = 1 << 20, 128, 1 << 25


@cache
def _weights(name: str) -> Any:
    """Compile scores -> loss, and in their place the weight of each item; no column: all items."""
    activation = ACTIVATIONS.index(name)

    @over_threads
    def share(start, end, score, positive, negative, scale, batch, value, bad_id):
        num_items, count = score.shape[1], negative.shape[1]
        times, lanes = np.empty(num_items + SPARE, i4), np.empty(16, f4)
        times[:] = i4(1)
        for b in range(start, end):
            s, pos_id = score[b], positive[b]
            if pos_id < 0 or pos_id >= num_items or not inside(negative, b, num_items):
                bad_id[0] = 1
                continue
            if count > 0:
                times[:] = i4(0)
                for j in range(count):
                    times[u8(negative[b, j])] += i4(1)
            pos_score = s[u8(pos_id)]
            # Loads before conditions: what is always read can be chosen branch-free.
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
            # log sigma is increasing
            top = log_sigma_and_slope(activation, largest - pos_score)[0] * scale
            total, grad_sum, score_sum = f4(0), f4(0), pos_score
            for j in range(num_items):
                x, drawn = s[j], f4(times[j])
                x = x if drawn > f4(0) else largest
                score_sum += x
                log_sigma, slope = log_sigma_and_slope(activation, x - pos_score)
                e = exp(log_sigma * scale - top) * drawn
                total += e
                s[j] = e * slope
                grad_sum += s[j]
            # A score that is not a number must not hide behind a maximum that ignores it.
            value[b] = top + f4(math.log(total)) if abs(score_sum) < HUGE else f4(np.nan)
            norm = scale / (total * f4(batch))
            for j in range(num_items):
                s[j] *= norm
            s[u8(pos_id)] -= grad_sum * norm

    return share


def catalogue_softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    tau: float,
    activation: str,
    wanted: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what :func:`.sampled.sampled_softmax` returns, here of three dense products.

    ``negative`` may be ``None``: every item once, the positive too.  Memory beyond inputs and
    outputs: 1 to 32 MiB.
    """
    if negative is None:
        negative = positive.new_empty(len(positive), 0)  # to the compiled code
    kernel = _weights(activation)
    value, bad_id = users.new_empty(len(users)), np.zeros(1, i4)
    grad_users, grad_items = (torch.zeros_like(x if wanted else x[:0]) for x in (users, items))
    row_bytes = 4 * len(items)
    step = max(BLOCK_BYTES // row_bytes, min(ROWS, MOST_BYTES // row_bytes), 1)
    shape = min(step, len(users)), len(items)
    # Longer than the scores, too: see SPARE.
    workspace = users.new_empty(shape[0] * shape[1] + SPARE)[:-SPARE].view(shape)
    for start in range(0, len(users), step):
        part = slice(start, start + step)
        u = users[part]
        score = matmul(u, items.T, out=workspace[: len(u)])
        kernel(
            len(u), score.numpy(), positive[part].numpy(), negative[part].numpy(), f4(1 / tau),
            len(users), value[part].numpy(), bad_id,
        )  # fmt: skip
        raise_if_outside(bad_id, items)
        if wanted:
            matmul(score, items, out=grad_users[part])
            with same_bits(*items.shape):
                grad_items.addmm_(score.T, u)
    return value, grad_users, grad_items
