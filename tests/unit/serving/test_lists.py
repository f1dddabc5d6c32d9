"""What a file recommends: the order, the ends, and blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion.serving import lists, ranked, similar
from psl.interactions import Interactions


def test_equal_scores_stand_in_the_order_of_their_numbers() -> None:
    rng = np.random.default_rng(0)
    users, items = (torch.from_numpy(rng.integers(-1, 2, (n, 3))).float() for n in (50, 200))
    seen = Interactions.from_pairs(rng.integers(0, 50, 900), rng.integers(0, 200, 900), 50, 200)
    for depth in (1, 20, 199, 200, 300):
        (block,) = ranked(users, items, torch.arange(50), seen, depth)
        scores = (users @ items.T).masked_fill(seen.mask(torch.arange(50)), -torch.inf)
        best, order = scores.sort(dim=1, descending=True, stable=True)
        assert torch.equal(block.best, best[:, :depth])
        there = ~block.best.isneginf()  # beyond, what is left out has no order
        assert torch.equal(block.items[there], order[:, :depth][there])


def test_blocks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    users, items = (torch.from_numpy(rng.standard_normal((n, 8))).float() for n in (90, 70))
    chosen = torch.tensor([4, 88, 3, 3, 50, 17, 89])
    (whole,) = ranked(users, items, chosen, None, 10)
    monkeypatch.setattr(lists, "ENTRIES", 150)
    parts = list(ranked(users, items, chosen, None, 10))
    assert [len(p.users) for p in parts] == [2, 2, 2, 1]
    assert torch.equal(torch.cat([p.items for p in parts]), whole.items)
    assert torch.equal(torch.cat([p.users for p in parts]), chosen)
    with pytest.raises(ValueError, match="at least one place"):
        next(ranked(users, items, chosen, None, 0))


def test_items_like_one_are_near_by_cosine() -> None:
    items = torch.tensor([[1.0, 0.0], [10.0, 1.0], [0.0, 3.0], [0.0, 0.0], [-2.0, 0.0]])
    found, cosines = similar(items, 0, 20)
    assert found.tolist() == [1, 2, 4]  # neither itself nor the one without a direction
    assert cosines.tolist() == pytest.approx([10 / 101**0.5, 0.0, -1.0])
    assert similar(items, 0, 1)[0].tolist() == [1]
