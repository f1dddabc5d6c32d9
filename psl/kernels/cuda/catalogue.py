"""The softmax losses against the whole catalogue, or against much of it, on a GPU.

Three dense matrix products cost less than gathering a thousand rows for each user, unless the
catalogue is far larger than the sample.  What is gathered then are scores.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from psl.kernels.cuda.maths import HUGE, log_sigma_and_slope, nan_if_any, on

MOST_BYTES = 512 << 20  # of scores and weights at once
COLUMNS = 1024  # of a row, visited at once


@triton.jit
def _weights(
    score, weight, positive, negative, value, num_items, count, scale, share,
    ACTIVATION: tl.constexpr, DRAWN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Take a row's loss, and from its scores what each item weighs in the gradient.

    With DRAWN the row's items are those of ``negative``, and ``weight`` is zero before.  Else they
    are the whole catalogue, and ``weight`` may be ``score`` itself.
    """
    b = tl.program_id(0).to(tl.int64)
    score += b * num_items
    weight += b * num_items
    pos_id = tl.load(positive + b)
    known = (pos_id >= 0) & (pos_id < num_items)
    pos_score = tl.load(score + pos_id, mask=known, other=0.0)
    has_nan = tl.where(known & (tl.abs(pos_score) <= HUGE), 0.0, float("nan"))
    top, total, grad_sum = -float("inf"), 0.0, 0.0
    for start in range(0, count, BLOCK):
        j = start + tl.arange(0, BLOCK)
        real = j < count
        ids = tl.load(negative + b * count + j, mask=real, other=0) if DRAWN else j
        inside = (ids >= 0) & (ids < num_items)
        s = tl.load(score + ids, mask=real & inside, other=0.0)
        # A score that is not a number must not hide behind a maximum that ignores it.
        has_nan += nan_if_any(real & ~(inside & (tl.abs(s) <= HUGE)))
        log_sigma, slope = log_sigma_and_slope(s - pos_score, ACTIVATION)
        x = tl.where(real, log_sigma * scale, -float("inf"))
        higher = tl.maximum(top, tl.max(x, axis=0))
        shrink, e = tl.exp(top - higher), tl.exp(x - higher)
        total = total * shrink + tl.sum(e, axis=0)
        grad_sum = grad_sum * shrink + tl.sum(e * slope, axis=0)
        top = higher
    tl.store(value + b, top + tl.log(total) + has_nan)
    norm = share / total + has_nan
    for start in range(0, count, BLOCK):
        j = start + tl.arange(0, BLOCK)
        real = j < count
        ids = tl.load(negative + b * count + j, mask=real, other=0) if DRAWN else j
        real = real & (ids >= 0) & (ids < num_items)
        s = tl.load(score + ids, mask=real, other=0.0)
        log_sigma, slope = log_sigma_and_slope(s - pos_score, ACTIVATION)
        w = tl.exp(log_sigma * scale - top) * slope * norm
        if DRAWN:
            # An item that was drawn twice adds the same number twice: no order gives other bits.
            tl.atomic_add(weight + ids, w, mask=real, sem="relaxed")
        else:
            tl.store(weight + ids, w, mask=real)
    tl.debug_barrier()  # the row's other threads have added what they have
    at = weight + tl.where(known, pos_id, 0)  # where the positive is not known, that is NaN
    tl.store(at, tl.load(at) - grad_sum * norm)


def catalogue_softmax(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor | None, tau: float,
    activation: str, wanted: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return what :func:`.sampled.sampled_softmax` returns, here of three dense products.

    ``negative`` may be ``None``: every item once, the positive too.  Memory beyond inputs and
    outputs is at most 512 MiB, or one row of 8 bytes an item.
    """
    if negative is None:
        negative = positive.new_empty(len(positive), 0)  # to the compiled code
    batch, num_items, count = len(users), len(items), negative.shape[1]
    value = users.new_empty(batch)
    grad_users, grad_items = (torch.zeros_like(x if wanted else x[:0]) for x in (users, items))
    step = max(min(MOST_BYTES // ((8 if count else 4) * num_items), batch), 1)
    workspace = users.new_empty(step, num_items)
    others = torch.empty_like(workspace) if count else workspace
    block = min(triton.next_power_of_2(count or num_items), COLUMNS)
    scale = 1 / tau
    with on(users):
        for start in range(0, batch, step):
            part = slice(start, start + step)
            u = users[part]
            score, weight = torch.mm(u, items.T, out=workspace[: len(u)]), others[: len(u)]
            if count:
                weight.zero_()
            _weights[(len(u),)](
                score, weight, positive[part], negative[part], value[part],
                num_items, count or num_items, scale, scale / batch,
                ACTIVATION=activation, DRAWN=count > 0, BLOCK=block, num_warps=4,
            )  # fmt: skip
            if wanted:
                torch.mm(weight, items, out=grad_users[part])
                grad_items.addmm_(weight.T, u)
    return value, grad_users, grad_items
