"""The best items of each user, from products of some users with some items at a time.

A block of scores is compared with the last place of each list while it is in the caches, and only
the few that are better are moved: no row of scores is ever whole in memory.
"""

import numpy as np
import torch
from numba import prange
from torch import Tensor

from psl.kernels.cpu.compiling import compiled, use_threads
from psl.kernels.cpu.maths import f4
from psl.kernels.products import matmul

# Scores at once, but enough columns to keep a product busy; and items that one question is about.
BLOCK_BYTES, COLUMNS, TOGETHER = 1 << 21, 512, 16


@compiled
def _scan(score, start, left_out, at, wanted, own_at, own, best, index, beyond):
    """Put the better ones of a block of scores (B, M), items from ``start`` on, into the lists."""
    # ``at`` and ``own_at`` (B, 2): where what a row leaves out, or wants, goes on, and ends.
    (rows, width), depth = score.shape, best.shape[1]
    for b in prange(rows):
        s, top, where, behind = score[b], best[b], index[b], beyond[b]
        while at[b, 0] < at[b, 1] and left_out[at[b, 0]] < start + width:
            s[left_out[at[b, 0]] - start] = f4(-np.inf)
            at[b, 0] += 1
        while own_at[b, 0] < own_at[b, 1] and wanted[own_at[b, 0]] < start + width:
            own[own_at[b, 0]] = s[wanted[own_at[b, 0]] - start]
            own_at[b, 0] += 1
        last = top[depth - 1]
        for first in range(0, width, TOGETHER):
            until = min(first + TOGETHER, width)
            some = until < first + TOGETHER
            if not some:
                for q in range(TOGETHER):
                    some |= not (s[first + q] < last)  # so is what is not a number
            if not some:
                continue
            for j in range(first, until):
                x = s[j]
                if x > last:
                    place = depth - 1
                    while place > 0 and top[place - 1] < x:
                        top[place], where[place] = top[place - 1], where[place - 1]
                        place -= 1
                    top[place], where[place] = x, start + j
                    behind = behind + 1 if top[depth - 1] == last else 0
                    last = top[depth - 1]
                elif x == last:
                    behind += 1
                elif x != x:  # nothing is better than that, whatever comes
                    top[:], last = x, x
        beyond[b] = behind


def best_items(
    users: Tensor, items: Tensor, pairs: tuple[tuple[Tensor, Tensor], ...], depth: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rank the catalogue for some users by inner products, in 2 MiB or 2 KiB a user.

    ``pairs``: what is left out, and wanted; from where to where (B + 1,) in which items (n,).
    Returns the best scores (B, depth), minus infinity where there is no more than is left out, NaN
    for a user who has such a score; their items, of one score the smaller number first; how many
    items have the score of the last place, (B,); and the scores of the wanted pairs.
    """
    use_threads()
    rows, parts = len(users), []
    for indptr, columns in pairs:
        ends = torch.stack([indptr[:-1], indptr[1:]], 1) - indptr[0]
        parts += [columns[indptr[0] : indptr[-1]].numpy(), ends.numpy()]
    best = users.new_full((rows, depth), -torch.inf)
    index, beyond = (users.new_zeros(n, dtype=torch.int64) for n in ((rows, depth), rows))
    own = users.new_empty(len(parts[2]))
    out = [x.numpy() for x in (own, best, index, beyond)]
    # Of almost one width: a product with a few columns may give other bits than one with many.
    width = max(BLOCK_BYTES // (4 * max(rows, 1)), COLUMNS)
    blocks = max(round(len(items) / width), 1)
    workspace = users.new_empty(rows * (len(items) // blocks + 1))
    for number in range(blocks):
        start, end = (n * len(items) // blocks for n in (number, number + 1))
        score = workspace[: rows * (end - start)].view(rows, end - start)
        matmul(users, items[start:end].T, out=score)
        _scan(score.numpy(), start, *parts, *out)
    return best, index, beyond + (best == best[:, -1:]).sum(1), own
