"""Recall and weights by the popularity of items: where a loss gains, and whom it looks at.

Everything here takes the scores of all users over the whole catalogue, shape ``(U, I)``: it is for
datasets of which that fits into memory.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from psl.activations import get_activation
from psl.interactions import Interactions

__all__ = ["popularity_groups", "recall_by_group", "weight_by_group"]


def popularity_groups(train: Interactions, count: int = 10) -> np.ndarray:
    """Return the group of each item, 0 for the least popular: deciles by default, shape (I,).

    Groups have as many items each, but for one; of equally popular items the first ids come first.
    """
    if not 1 <= count <= train.num_items:
        raise ValueError(f"{train.num_items} items make no {count} groups")
    groups = np.empty(train.num_items, dtype=np.int64)
    groups[np.argsort(train.popularity, kind="stable")] = (
        np.arange(train.num_items) * count // train.num_items
    )
    return groups


def recall_by_group(
    scores: Tensor, train: Interactions, test: Interactions, groups: np.ndarray, k: int = 20
) -> np.ndarray:
    """Return which part of a group's test pairs is among the first ``k`` items of their users.

    What a user has in training is left out of the list.  All pairs of a group count alike, so a
    group's value does not depend on how many pairs the others have.

    Returns
    -------
    ndarray, shape (groups,)
        NaN for a group without a test pair.
    """
    everyone = torch.arange(len(scores))
    best = scores.masked_fill(train.mask(everyone), -torch.inf).topk(k, dim=1).indices
    listed = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, best, True)
    hit = listed[torch.from_numpy(test.users), torch.from_numpy(test.items)]
    return _means(hit.double().numpy(), groups[test.items], groups)


def weight_by_group(
    scores: Tensor, train: Interactions, groups: np.ndarray, tau: float, activation: str
) -> np.ndarray:
    """Return the total weight of a training positive's row, times ``tau``, by the item's group.

    It is the sum of equation 4.3 over what the user has not in training: 1 for the softmax loss,
    above 1 where the rivals that carry the weight stand mostly below the positive.

    Returns
    -------
    ndarray, shape (groups,)
        Means over the training pairs of a group; NaN for a group without any.
    """
    kind, known = get_activation(activation), train.mask(torch.arange(len(scores)))
    totals = np.empty(len(train))
    for user, start in enumerate(train.indptr[:-1]):
        own = slice(int(start), int(train.indptr[user + 1]))
        rivals = scores[user, ~known[user]]
        d = rivals[None, :] - scores[user, torch.from_numpy(train.items[own])][:, None]
        q = torch.softmax(kind.log(d) / tau, dim=1)
        totals[own] = (q * kind.slope(d)).sum(dim=1).numpy()
    return _means(totals, groups[train.items], groups)


def _means(values: np.ndarray, of: np.ndarray, groups: np.ndarray) -> np.ndarray:
    count = int(groups.max()) + 1
    pairs = np.bincount(of, minlength=count).astype(float)
    sums = np.bincount(of, weights=values, minlength=count)
    return np.divide(sums, pairs, out=np.full(count, np.nan), where=pairs > 0)
