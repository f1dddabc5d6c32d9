"""Uniform negatives on a GPU, in one pass over the ids: the same numbers as on a CPU."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from psl.kernels.cuda.maths import on, uniform

DRAWS = 512


@triton.jit(do_not_specialize=["key"])
def _draw(
    key: tl.int64, indptr, positives, users, out, num_users, num_items, count, length,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Draw ranks among a user's non-positives and shift each past the positives below it."""
    slot = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = slot < length
    user = tl.load(users + slot // count, mask=real, other=0)
    known = (user >= 0) & (user < num_users)
    first = tl.load(indptr + user, mask=known, other=0)
    last = tl.load(indptr + user + 1, mask=known, other=0)
    rank = (uniform(key, slot) * (num_items - (last - first)).to(tl.float64)).to(tl.int64)
    # How many positives have at most `rank` non-positives below them.
    low, high = first, last
    span = tl.max(last - first, axis=0)
    while span > 0:  # as often as the longest list needs
        middle = (low + high) // 2
        open_ = low < high
        p = tl.load(positives + middle, mask=open_, other=0)
        right = p - (middle - first) <= rank
        low = tl.where(open_ & right, middle + 1, low)
        high = tl.where(open_ & ~right, middle, high)
        span = span >> 1
    tl.store(out + slot, tl.where(known, rank + (low - first), -1), mask=real)


def uniform_negatives(
    key: int, indptr: Tensor, positives: Tensor, num_items: int, users: Tensor, count: int
) -> Tensor:
    """Return items uniform over each user's non-positives, shape (B, count), int64.

    ``indptr`` and ``positives`` (sorted for each user) are int64, on the device of ``users``.  A
    user outside ``indptr`` gets -1, an item that every other kernel here makes NaN of.
    """
    out = torch.empty(len(users), count, dtype=torch.int64, device=users.device)
    with on(users):
        _draw[(triton.cdiv(out.numel(), DRAWS),)](
            key, indptr, positives, users.contiguous(), out,
            len(indptr) - 1, num_items, count, out.numel(), BLOCK=DRAWS,
        )  # fmt: skip
    return out
