"""Somebody who was not in training gets an embedding from what they have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from companion.baselines.linear import popular
from companion.datasets import synthetic
from companion.serving import fold_in, measure, measure_scores
from psl.dataset import Dataset
from psl.errors import DataError
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.training import RunConfig, train


def rows(pairs: Interactions, first: int, count: int) -> Interactions:
    """The pairs of some users, numbered from 0."""
    some = (pairs.users >= first) & (pairs.users < first + count)
    return Interactions.from_pairs(
        pairs.users[some] - first, pairs.items[some], count, pairs.num_items
    )


@pytest.mark.parametrize("loss", ["psl-relu", "bpr"])
def test_a_user_held_out_of_training_gets_a_better_list_than_most_popular(loss: str) -> None:
    seen, _ = synthetic(np.random.default_rng(0), 300, 200, relevant=30, observed=20)
    fit, test = holdout(rows(seen, 0, 240), 0.2, np.random.default_rng(1))
    config = RunConfig(dataset="d", loss=loss, epochs=8, negatives=50, dim=16, lr=0.05)
    model = train(config, Dataset("d", "iid", fit, test), device="cpu").model
    with torch.no_grad():
        _, items = model.scale(*model.tables())
    has, wanted = holdout(rows(seen, 240, 60), 0.3, np.random.default_rng(2))
    users = torch.stack([fold_in(items, has.of(u)) for u in range(60)])
    found = measure(users, items, wanted, has).by_user["ndcg@20"]
    floor = measure_scores(popular(fit), wanted, has).by_user["ndcg@20"]
    gap = found - floor
    assert gap.mean() > 3 * gap.std() / np.sqrt(len(gap)) > 0


def test_it_is_where_the_softmax_loss_is_least() -> None:
    g = torch.Generator().manual_seed(0)
    items, own, tau = (
        torch.randn(30, 6, generator=g, dtype=torch.float64),
        np.array([3, 7, 20]),
        0.2,
    )

    def value(user: torch.Tensor) -> torch.Tensor:
        f = normalize(items, dim=1) @ normalize(user, dim=0) / 2
        return torch.stack([((f - f[i]) / tau).exp().sum().log() for i in own]).mean()

    user = fold_in(items, own, tau).requires_grad_()
    assert user.norm().item() == pytest.approx(0.5)
    (slope,) = torch.autograd.grad(value(user), user)
    assert slope.norm() < 1e-4
    for _ in range(100):
        other = torch.randn(6, generator=g, dtype=torch.float64)
        assert value(other) >= value(user)


@pytest.mark.parametrize("own", [[], [0]])
def test_a_history_that_says_nothing_is_refused(own: list[int]) -> None:
    items = torch.zeros(4, 3)
    with pytest.raises(DataError, match="one or more items"):
        fold_in(items, np.array(own, dtype=np.int64))
