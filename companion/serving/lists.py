"""What a file recommends: the best items of each user, in blocks of users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from psl.interactions import Interactions
from psl.ops import sampled_scores, upcast_half

__all__ = ["Lists", "Score", "products", "ranked", "ranked_by", "similar"]

Score = Callable[[Tensor], Tensor]  # users (B,) -> the scores of all items (B, I), a new tensor
ENTRIES = 2**24  # scores at once: 64 MB in float32
MOST_ROWS = 512


class Lists(NamedTuple):
    """The lists of a block of users.

    Attributes
    ----------
    users : Tensor of int64, shape (B,)
    items : Tensor of int64, shape (B, K)
        Best first; of one score, the smaller number.
    best : Tensor, shape (B, K)
        Their scores; minus infinity where what may be recommended has ended.
    scores : Tensor, shape (B, I)
        Of all items; minus infinity for those that are left out.
    tied : Tensor of int64, shape (T,)
        The rows whose last place has a score that another item beyond the list has too.
    """

    users: Tensor
    items: Tensor
    best: Tensor
    scores: Tensor
    tied: Tensor


def ranked(
    users: Tensor, items: Tensor, chosen: Tensor, seen: Interactions | None, depth: int
) -> Iterator[Lists]:
    """Rank the catalogue for some users.

    Parameters
    ----------
    users, items : Tensor, shapes (U, d) and (I, d)
        Their inner product is the score.
    chosen : Tensor of int64, shape (N,)
        Rows of users.
    seen : Interactions or None
        What is left out of a user's list.
    depth : int
        Length of a list, at least 1; the catalogue ends some earlier.

    Yields
    ------
    Lists
        Of so many users that memory is bounded, whatever their number.

    Raises
    ------
    ValueError
        If a list would have no place.
    """
    return ranked_by(products(users, items), len(items), chosen, seen, depth)


def products(users: Tensor, items: Tensor) -> Score:
    """Return what scores by the inner products of embeddings (U, d) and (I, d)."""
    return lambda rows: sampled_scores(users[rows], items, None)


def ranked_by(
    score: Score, num_items: int, chosen: Tensor, seen: Interactions | None, depth: int
) -> Iterator[Lists]:
    """Rank the catalogue by any score; the rest as :func:`ranked`."""
    if depth < 1:
        raise ValueError(f"a list has at least one place, got {depth}")
    rows = max(1, min(MOST_ROWS, ENTRIES // max(1, num_items)))
    for block in chosen.split(rows):
        scores = score(block)
        if seen is not None:
            scores.masked_fill_(seen.mask(block), -torch.inf)
        yield Lists(block, *_first(scores, min(depth, num_items)))


def similar(items: Tensor, row: int, depth: int) -> tuple[Tensor, Tensor]:
    """Return the items nearest to one by the cosine of their embeddings, and the cosines.

    The item itself is none of them, nor is a direction that is not there, an embedding of zeros.
    """
    unit = normalize(upcast_half(items), dim=1)
    scores = sampled_scores(unit[row : row + 1], unit, None)
    scores[:, row] = -torch.inf
    scores[:, ~unit.any(dim=1)] = -torch.inf
    index, best, *_ = _first(scores, min(depth, len(items)))
    there = ~best[0].isneginf()
    return index[0, there], best[0, there]


def _first(scores: Tensor, depth: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the best of each row as :class:`Lists`; topk alone says nothing of equal scores."""
    best, index = scores.topk(min(depth + 1, scores.shape[1]), dim=1)
    index, order = index.sort(dim=1)
    best, order = best.gather(1, order).sort(dim=1, descending=True, stable=True)
    index = index.gather(1, order)
    last = best[:, depth - 1 : depth]
    tied = ((best[:, depth:] == last) & ~last.isneginf()).any(dim=1).nonzero().flatten()
    for row in tied.tolist():
        full, place = scores[row].sort(descending=True, stable=True)
        best[row, :depth], index[row, :depth] = full[:depth], place[:depth]
    return index[:, :depth], best[:, :depth], scores, tied
