"""Ranks by comparison, and the chain of bounds, for every score vector hypothesis can think of."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from companion.theory import dcg, mrr, pairwise_differences, ranks, surrogate_chain

# Half of the catalogues have a coarse grid of scores, so that ties are common.
score = st.one_of(st.floats(-0.5, 0.5), st.integers(-3, 3).map(lambda k: k / 6))


@st.composite
def users(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    values = draw(st.lists(score, min_size=1, max_size=25))
    count = draw(st.integers(1, len(values)))
    mask = torch.zeros(len(values), dtype=torch.bool)
    mask[draw(st.permutations(range(len(values))))[:count]] = True
    return torch.tensor(values, dtype=torch.float64), mask


@given(users())
def test_ranks_are_positions_after_sorting(user: tuple[Tensor, Tensor]) -> None:
    scores, positive = user
    values = sorted(scores.tolist(), reverse=True)
    # A tie counts against the positive: its rank is the last place of its value.
    expected = [len(values) - values[::-1].index(s) for s in scores[positive].tolist()]
    assert ranks(scores, positive).tolist() == expected


@given(users())
def test_metrics_are_sums_over_ranks(user: tuple[Tensor, Tensor]) -> None:
    rank = ranks(*user)
    assert float(dcg(rank)) == pytest.approx(sum(1 / math.log2(1 + r) for r in rank.tolist()))
    assert float(mrr(rank)) == pytest.approx(sum(1 / r for r in rank.tolist()))


@given(
    users(),
    st.sampled_from([0.01, 0.1, 0.5, 1.0, 2.0]),
    st.sampled_from(["exp", "tanh", "atan", "relu"]),
)
def test_every_link_of_the_chain(user, tau: float, activation: str) -> None:
    links = list(surrogate_chain(*user, tau, activation).values())
    for left, right in itertools.pairwise(links):
        assert left <= right + 1e-9 * max(1, abs(right))


def test_softplus_breaks_the_last_link() -> None:
    """Appendix C.2's activation lies above exp, so its loss is a looser bound than SL's."""
    scores = torch.tensor([0.3, 0.1, -0.4], dtype=torch.float64)
    links = surrogate_chain(scores, torch.tensor([True, False, False]), 0.1, "softplus")
    assert links["PSL"] > links["SL"]


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan])
def test_chain_refuses_a_temperature(tau: float) -> None:
    with pytest.raises(ValueError, match="tau must be positive"):
        surrogate_chain(torch.zeros(2), torch.tensor([True, False]), tau)


def test_chain_refuses_a_user_without_positives() -> None:
    with pytest.raises(ValueError, match="no positive"):
        surrogate_chain(torch.zeros(2), torch.tensor([False, False]), 0.1)


@pytest.mark.parametrize(
    ("scores", "positive"),
    [
        (torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool)),
        (torch.zeros(3), torch.ones(2, dtype=torch.bool)),
        (torch.zeros(2), torch.ones(2)),
    ],
)
def test_differences_refuse_other_shapes(scores: Tensor, positive: Tensor) -> None:
    with pytest.raises(ValueError, match="boolean mask"):
        pairwise_differences(scores, positive)
