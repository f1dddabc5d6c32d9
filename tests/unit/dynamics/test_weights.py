"""Weight on false negatives, against the gradient of the loss and against draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion.dynamics.weights import ACTIVATION_OF, measure, sampling_probability
from companion.popularity import popularity_groups, weight_by_group
from companion.theory import surrogate_chain
from psl.activations import get_activation
from psl.interactions import Interactions
from psl.negatives import NoisyNegatives, UniformNegatives

USERS, ITEMS, TAU = 6, 20, 0.15


class Model:
    """Unit rows, halved on one side, as a model of this book gives them."""

    def __init__(self) -> None:
        g = torch.Generator().manual_seed(3)
        one, two = (torch.randn(n, 4, generator=g, dtype=torch.float64) for n in (USERS, ITEMS))
        self.tables = [0.5 * one / one.norm(dim=1)[:, None], two / two.norm(dim=1)[:, None]]

    def embed(self, users: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.tables[0][users], self.tables[1]


def pairs() -> Interactions:
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((USERS, ITEMS)) < 0.4)
    return Interactions.from_pairs(users, items, USERS, ITEMS)


def noisy() -> NoisyNegatives:
    return NoisyNegatives(pairs(), 0.3, np.random.default_rng(1), share=0.3, per_user=True)


def naive(loss: str, positives: Interactions, drawn: torch.Tensor, liked: torch.Tensor) -> float:
    """The part by automatic differentiation of (4.1) with its powers written out."""
    activation = get_activation(ACTIVATION_OF[loss])
    left, right = Model().embed(torch.arange(USERS))
    on = total = 0.0
    for user, item in zip(positives.users.tolist(), positives.items.tolist(), strict=True):
        f = (left[user] @ right.T).detach()
        negative = f.clone().requires_grad_()
        sigma = activation.log(negative - f[item]).exp()
        (drawn[user] * sigma ** (1 / TAU)).sum().log().backward()
        on += float(negative.grad[liked[user]].sum())
        total += float(negative.grad.sum())
    return on / total


@pytest.mark.parametrize("noise", [False, True])
def test_the_part_on_false_negatives_is_that_of_the_gradient(noise: bool) -> None:
    fit, sampler = pairs(), noisy()
    positives = fit.difference(sampler.marked) if noise else fit
    held_out = Interactions.from_pairs([0, 1, 2, 3], [1, 2, 3, 4], USERS, ITEMS).difference(fit)
    kinds = {"held out": held_out} | ({"marked": sampler.marked} if noise else {})
    given = (sampler.marked, sampler.ratio) if noise else None
    found = measure(
        Model(), positives, fit, kinds, popularity_groups(fit, 4),
        loss="psl-relu", tau=TAU, noise=given,
    )  # fmt: skip
    everyone = torch.arange(USERS)
    drawn = sampling_probability(everyone, fit, given)
    for kind, false in kinds.items():
        for loss, part in found["share"][kind].items():
            want = naive(loss, positives, drawn, false.mask(everyone))
            assert part == pytest.approx(want, rel=1e-9), (kind, loss)
        chance = drawn.masked_fill(~false.mask(everyone), 0).sum(1)[positives.users].mean()
        assert found["drawn"][kind] == pytest.approx(float(chance))


def test_rows_and_distance_are_those_of_the_other_functions() -> None:
    fit, groups = pairs(), popularity_groups(pairs(), 4)
    found = measure(Model(), fit, fit, {}, groups, loss="psl-tanh", tau=TAU)
    left, right = Model().embed(torch.arange(USERS))
    scores = left @ right.T
    want = weight_by_group(scores, fit, groups, TAU, "tanh")
    np.testing.assert_allclose(found["row_weight"], want, rtol=1e-12)
    chains = [
        surrogate_chain(scores[u], fit.mask(torch.tensor([u]))[0], TAU, "tanh")
        for u in range(USERS)
    ]
    assert found["distance"] == pytest.approx(np.mean([c["PSL"] - c["-log DCG"] for c in chains]))


@pytest.mark.parametrize("noise", [False, True])
def test_items_are_drawn_as_often_as_the_probabilities_say(noise: bool) -> None:
    fit, count = pairs(), 40_000
    sampler = noisy() if noise else UniformNegatives(fit)
    given = (sampler.marked, sampler.ratio) if noise else None
    want = sampling_probability(torch.arange(USERS), fit, given)
    ids = sampler.sample(torch.arange(USERS), count, key=5)
    got = torch.stack([torch.bincount(row, minlength=ITEMS) for row in ids]) / count
    assert (want.sum(1) - 1).abs().max() < 1e-12
    assert not got[want == 0].any()
    # Six standard deviations of a frequency.
    assert ((got - want).abs() < 6 * (want / count).sqrt() + 1e-12).all()
