"""Recall and weights by the popularity of items, against loops and automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion import popularity
from psl import pairwise_softmax_loss
from psl.interactions import Interactions

TRAIN = Interactions.from_pairs([0, 0, 1, 1, 2, 2], [5, 4, 5, 3, 5, 4], num_users=3, num_items=6)
TEST = Interactions.from_pairs([0, 1, 1, 2], [3, 4, 0, 3], num_users=3, num_items=6)


def scores() -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.rand(3, 6, generator=g, dtype=torch.float64) - 0.5


def test_groups_are_of_one_size_and_in_the_order_of_popularity() -> None:
    assert popularity.popularity_groups(TRAIN, 3).tolist() == [0, 0, 1, 1, 2, 2]
    assert popularity.popularity_groups(TRAIN, 4).tolist() == [0, 0, 1, 2, 2, 3]
    with pytest.raises(ValueError, match="6 items make no 7 groups"):
        popularity.popularity_groups(TRAIN, 7)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_recall_is_the_share_of_a_groups_pairs_that_are_listed(k: int) -> None:
    f, groups = scores(), np.array([0, 0, 1, 1, 2, 2])
    found: dict[int, list[bool]] = {}
    for user, item in zip(TEST.users.tolist(), TEST.items.tolist(), strict=True):
        own = TRAIN.of(user).tolist()
        ranked = sorted((i for i in range(6) if i not in own), key=lambda i: -float(f[user, i]))
        found.setdefault(int(groups[item]), []).append(item in ranked[:k])
    got = popularity.recall_by_group(f, TRAIN, TEST, groups, k)
    assert got.tolist() == [np.mean(found[group]) for group in range(3)]
    # Without the pairs of the other groups it is the same; a group without a pair has no value.
    only = Interactions.from_pairs([1], [0], num_users=3, num_items=6)
    alone = popularity.recall_by_group(f, TRAIN, only, groups, k)
    assert alone[0] == got[0] and np.isnan(alone[1:]).all()


@pytest.mark.parametrize("activation", ["exp", "tanh", "atan", "relu", "softplus"])
def test_the_weight_of_a_row_is_the_gradient_of_its_positive(activation: str) -> None:
    f, tau = scores(), 0.1
    got = popularity.weight_by_group(f, TRAIN, np.arange(6), tau, activation)
    for item in (3, 4, 5):
        slopes = []
        for user in np.flatnonzero([item in TRAIN.of(u) for u in range(3)]):
            own = f[user, [item]].clone().requires_grad_()
            negative = f[user, [i for i in range(6) if i not in TRAIN.of(int(user))]]
            pairwise_softmax_loss(own, negative[None], tau, activation).backward()
            slopes.append(-tau * float(own.grad))  # a higher positive lowers the loss
        assert got[item] == pytest.approx(np.mean(slopes), rel=1e-12)
    assert np.isnan(got[:3]).all()
    assert activation != "exp" or np.allclose(got[3:], 1)
