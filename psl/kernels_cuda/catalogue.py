"""The softmax losses against the whole catalogue, or against much of it, on a GPU.

Three dense matrix products cost less than gathering a thousand rows for each user, unless the
catalogue is far larger than the sample.  A row's draws are then a number for each item, and with
every number 1 the same code is the loss over the full catalogue (equation 4.1 as printed).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from psl.kernels_cuda.maths import HUGE, flaw, on, term

__all__ = ["catalogue_softmax"]

MOST_BYTES = 512 << 20  # of scores and numbers of draws at once
DRAWS, COLUMNS = 1024, 2048


@triton.jit
def _count(negative, times, num_items, count, BLOCK: tl.constexpr):
    """Count a row's draws of each item; whole numbers, so that the order of adding is no matter.

    The last column, beyond the catalogue, counts the ids outside it.
    """
    b = tl.program_id(0).to(tl.int64)
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    drawn = j < count
    ids = tl.load(negative + b * count + j, mask=drawn, other=0)
    ids = tl.where((ids >= 0) & (ids < num_items), ids, num_items)
    tl.atomic_add(times + b * (num_items + 1) + ids, 1, mask=drawn, sem="relaxed")


@triton.jit
def _weights(
    score, times, positive, value, num_items, scale, share,
    KIND: tl.constexpr, COUNTED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Turn a row's scores, in place, into what each item weighs in the gradient; take its loss."""
    b = tl.program_id(0).to(tl.int64)
    score += b * num_items
    times += b * (num_items + 1)
    mine = tl.load(positive + b)
    known = (mine >= 0) & (mine < num_items)
    own = tl.load(score + mine, mask=known, other=0.0)
    if COUNTED:
        known = known & (tl.load(times + num_items) == 0)
    broken = tl.where(known & (tl.abs(own) <= HUGE), 0.0, float("nan"))
    top, total, pulled = -float("inf"), 0.0, 0.0
    for start in range(0, num_items, BLOCK):
        j = start + tl.arange(0, BLOCK)
        s = tl.load(score + j, mask=j < num_items, other=0.0)
        if COUNTED:
            n = tl.load(times + j, mask=j < num_items, other=0).to(tl.float32)
        else:
            n = tl.where(j < num_items, 1.0, 0.0)
        drawn = n > 0.0
        broken += flaw(drawn & ~(tl.abs(s) <= HUGE))
        log_sigma, slope = term(s - own, KIND)
        x = tl.where(drawn, log_sigma * scale, -float("inf"))
        higher = tl.maximum(top, tl.max(x, axis=0))
        base = tl.where(higher > -float("inf"), higher, 0.0)  # nothing drawn as yet: no inf - inf
        shrink, e = tl.exp(top - base), tl.exp(x - base) * n
        total = total * shrink + tl.sum(e, axis=0)
        pulled = pulled * shrink + tl.sum(tl.where(drawn, e * slope, 0.0), axis=0)
        top = higher
    tl.store(value + b, top + tl.log(total) + broken)
    norm = share / total + broken
    for start in range(0, num_items, BLOCK):
        j = start + tl.arange(0, BLOCK)
        s = tl.load(score + j, mask=j < num_items, other=0.0)
        if COUNTED:
            n = tl.load(times + j, mask=j < num_items, other=0).to(tl.float32)
        else:
            n = tl.where(j < num_items, 1.0, 0.0)
        log_sigma, slope = term(s - own, KIND)
        w = tl.where(n > 0.0, tl.exp(log_sigma * scale - top) * n * slope, 0.0)
        w = (w - tl.where(j == mine, pulled, 0.0)) * norm
        tl.store(score + j, w, mask=j < num_items)


def catalogue_softmax(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, tau: float, activation: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each row (B,) and the gradients of its mean, (B, d) and (I, d).

    ``negative`` (B, N) are the sampled items; N = 0 means every item once, the positive too.
    Memory beyond inputs and outputs is at most 512 MiB, or one row of 8 bytes an item.
    """
    batch, num_items, count = len(users), len(items), negative.shape[1]
    value, grad_users = users.new_empty(batch), torch.empty_like(users)
    grad_items = torch.zeros_like(items)
    row_bytes = 8 * num_items + 4 if count else 4 * num_items
    step = max(min(MOST_BYTES // row_bytes, batch), 1)
    room = users.new_empty(step, num_items)
    times = positive.new_empty(step, num_items + 1, dtype=torch.int32) if count else positive
    block = min(triton.next_power_of_2(num_items), COLUMNS)
    scale = 1 / tau
    with on(users):
        for start in range(0, batch, step):
            part = slice(start, start + step)
            u = users[part]
            score = torch.mm(u, items.T, out=room[: len(u)])
            if count:
                times.zero_()
                grid = (len(u), triton.cdiv(count, DRAWS))
                _count[grid](negative[part], times, num_items, count, BLOCK=DRAWS)
            _weights[(len(u),)](
                score, times, positive[part], value[part], num_items, scale, scale / batch,
                KIND=activation, COUNTED=count > 0, BLOCK=block, num_warps=8,
            )  # fmt: skip
            torch.mm(score, items, out=grad_users[part])
            grad_items.addmm_(score.T, u)
    return value, grad_users, grad_items
