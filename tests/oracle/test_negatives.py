"""Uniform negatives: never a positive, and uniform over all that is left."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from psl.errors import DataError
from psl.interactions import Interactions
from psl.negatives import UniformNegatives, membership


def data() -> Interactions:
    rng = np.random.default_rng(0)
    # User 3 likes nearly everything: rejection must go on until it finds one of the two others.
    users = np.concatenate([rng.integers(0, 3, 30), np.full(18, 3)])
    items = np.concatenate([rng.integers(0, 20, 30), np.arange(18)])
    return Interactions.from_pairs(users, items, 5, 20)


def draw(seed: int, count: int, users: list[int], rows: int = 128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return UniformNegatives(data(), rows).sample(torch.tensor(users), count, generator)


def test_membership_is_the_set() -> None:
    mask = membership(data(), torch.tensor([3, 0, 3, 4]))
    for row, user in enumerate([3, 0, 3, 4]):
        assert mask[row].nonzero().flatten().tolist() == data().of(user).tolist()


@pytest.mark.parametrize("rows", [1, 3, 128])
def test_never_a_positive_and_uniform(rows: int) -> None:
    users = [0, 1, 2, 3, 4] * 40
    drawn = draw(1, 100, users, rows)
    assert drawn.shape == (200, 100) and drawn.dtype == torch.int64
    for user in range(5):
        mine = drawn[[k for k, u in enumerate(users) if u == user]].flatten()
        counts = np.bincount(mine.numpy(), minlength=20)
        positive = np.isin(np.arange(20), data().of(user))
        assert counts[positive].sum() == 0
        assert chisquare(counts[~positive]).pvalue > 1e-3


def test_two_places_of_a_row_are_independent() -> None:
    drawn = draw(2, 2, [3] * 4000)
    joint = np.bincount(((drawn[:, 0] - 18) * 2 + drawn[:, 1] - 18).numpy(), minlength=4)
    assert chisquare(joint).pvalue > 1e-3


def test_the_stream_decides() -> None:
    assert torch.equal(draw(3, 50, [0, 1]), draw(3, 50, [0, 1]))
    assert not torch.equal(draw(3, 50, [0, 1]), draw(4, 50, [0, 1]))


def test_a_user_of_everything() -> None:
    full = Interactions.from_pairs(np.zeros(4, dtype=int), np.arange(4), 2, 4)
    with pytest.raises(DataError, match="no negative"):
        UniformNegatives(full)
