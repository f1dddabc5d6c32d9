"""Each baseline of `psl evaluate --floor` against a loop over users and items."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from companion.baselines import FLOORS, fit_floor
from companion.baselines.ials import als_factors, ials
from companion.baselines.linear import MOST_ITEMS, ease, item_knn, popular
from companion.datasets import synthetic
from companion.serving import measure_scores
from psl.errors import DataError, UnknownNameError
from psl.holdout import holdout
from psl.interactions import Interactions

USERS, ITEMS = 400, 12  # so many users that no two pairs of items are equally near


def table(seed: int = 0) -> tuple[Interactions, np.ndarray]:
    """Pairs, dense too; the last item has no user, and the last user one item."""
    dense = np.random.default_rng(seed).random((USERS, ITEMS)) < 0.35
    dense[:, -1], dense[-1] = False, False
    dense[-1, 3] = True
    return Interactions.from_pairs(*dense.nonzero(), USERS, ITEMS), dense.astype(float)


def scores(score: Any) -> np.ndarray:
    """All users, in two blocks of another order."""
    rows = torch.arange(USERS).flip(0)
    found = torch.cat([score(rows[:10]), score(rows[10:])]).flip(0)
    assert found.shape == (USERS, ITEMS)
    return found.double().numpy()


def test_most_popular() -> None:
    train, x = table()
    assert (scores(popular(train)) == x.sum(0)).all()
    first = popular(train)(torch.tensor([0]))
    first.zero_()  # what is left out is written into it
    assert popular(train)(torch.tensor([0])).any()


@pytest.mark.parametrize("neighbours", [1, 3, 100])
def test_item_knn(neighbours: int) -> None:
    train, x = table()
    wanted = np.zeros((USERS, ITEMS))
    for i in range(ITEMS):
        near = []
        for j in range(ITEMS):
            both = math.sqrt(x[:, i].sum() * x[:, j].sum())
            near.append((x[:, i] @ x[:, j] / both if both and i != j else 0.0, j))
        kept = sorted(near, reverse=True)[:neighbours]
        values = sorted((c for c, _ in near), reverse=True)
        if len(values) > neighbours:  # otherwise which is taken is open
            assert values[neighbours - 1] > values[neighbours] or not values[neighbours]
        for u in range(USERS):
            for c, j in kept:
                wanted[u, j] += x[u, i] * c
    assert np.allclose(scores(item_knn(train, neighbours)), wanted, atol=1e-12)


@pytest.mark.parametrize("ridge", [0.5, 20.0])
def test_ease_is_a_ridge_regression_of_each_item_on_the_others(ridge: float) -> None:
    train, x = table()
    wanted = np.zeros((USERS, ITEMS))
    for j in range(ITEMS):
        others = np.delete(x, j, axis=1)
        normal = others.T @ others + ridge * np.eye(ITEMS - 1)
        wanted[:, j] = others @ np.linalg.solve(normal, others.T @ x[:, j])
    assert np.allclose(scores(ease(train, ridge)), wanted, atol=1e-12)


def test_ease_says_where_it_ends() -> None:
    train = Interactions.from_pairs(np.array([0]), np.array([0]), 1, MOST_ITEMS + 1)
    with pytest.raises(DataError, match="EASE"):
        ease(train)


def test_ials_solves_for_each_item() -> None:
    """The items come last: each is the weighted ridge regression on the users' factors."""
    pytest.importorskip("implicit")
    train, x = table()
    ridge, confidence = 0.7, 5.0
    users, items = (f.astype(float) for f in als_factors(train, ridge, confidence))
    for j in range(ITEMS):
        weight = np.where(x[:, j] > 0, confidence, 1.0)
        normal = (users.T * weight) @ users + ridge * np.eye(users.shape[1])
        assert np.allclose(
            items[j], np.linalg.solve(normal, users.T @ (weight * x[:, j])), atol=1e-4
        )
    assert np.allclose(scores(ials(train, ridge, confidence)), users @ items.T, atol=1e-5)


def test_the_settings_are_those_of_the_best_validation_score() -> None:
    train, _ = synthetic(np.random.default_rng(0), 60, 80, relevant=20, observed=10)
    kept, test = holdout(train, 0.2, np.random.default_rng(1))
    found = {}
    for name in FLOORS:
        if name == "ials":
            pytest.importorskip("implicit")
        floor = fit_floor(name, kept)
        assert floor.name == name and floor.settings.keys() == FLOORS[name].grid.keys()
        for key, value in floor.settings.items():
            assert value in FLOORS[name].grid[key]
        found[name] = measure_scores(floor.score, test, kept).means()["ndcg@20"]
    rng = torch.Generator().manual_seed(0)
    chance = measure_scores(lambda rows: torch.rand(len(rows), 80, generator=rng), test, kept)
    assert min(found.values()) > chance.means()["ndcg@20"]
    with pytest.raises(UnknownNameError, match="did you mean 'ease'"):
        fit_floor("eas", kept)
