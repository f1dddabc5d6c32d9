"""Intervals and tests over seeds: against simulation, enumeration and textbook values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, ttest_rel

from companion.statistics import (
    holm,
    interval,
    paired_difference,
    pooled_spread,
    prediction_half_width,
)


def test_interval_of_a_known_sample() -> None:
    """Student's own: five values with mean 3 and deviation sqrt(2.5); t(4) at 97.5 % is 2.776."""
    got = interval([1, 2, 3, 4, 5])
    half = 2.7764451 * math.sqrt(2.5) / math.sqrt(5)
    assert got.mean == 3 and got.count == 5
    assert got.low == pytest.approx(3 - half) and got.high == pytest.approx(3 + half)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_covers_as_often_as_it_says(level: float) -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(4000):
        got = interval(list(rng.normal(2.0, 3.0, 5)), level)
        hits += got.low <= 2.0 <= got.high
    assert abs(hits / 4000 - level) < 4 * math.sqrt(level * (1 - level) / 4000)


def test_one_more_value_falls_where_it_is_predicted() -> None:
    """From the spread of other groups too, of other means and sizes."""
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(4000):
        groups = [list(m * rng.normal(1.0, 0.02, n)) for m, n in ((2.0, 3), (50.0, 2), (7.0, 1))]
        spread, freedom = pooled_spread(groups)
        assert freedom == 3
        width = prediction_half_width(2.0 * spread, freedom, 3)
        hits += abs(np.mean(groups[0]) - 2.0 * rng.normal(1.0, 0.02)) <= width
    assert abs(hits / 4000 - 0.95) < 0.014


def test_a_spread_needs_two_of_a_kind() -> None:
    spread, freedom = pooled_spread([[1.0], [5.0]])
    assert math.isnan(spread) and freedom == 0
    assert pooled_spread([[1.0, 3.0]])[0] == pytest.approx(np.std([0.5, 1.5], ddof=1))
    for freedom, count in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least one"):
            prediction_half_width(0.1, freedom, count)


def test_one_value_has_no_interval() -> None:
    got = interval([0.5])
    assert got.mean == 0.5 and math.isnan(got.low) and math.isnan(got.high)
    assert math.isnan(paired_difference([0.5], [0.4]).p_value)


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="no value"):
        interval([])
    with pytest.raises(ValueError, match="probability"):
        interval([1.0], level=95)
    with pytest.raises(ValueError, match="pairs"):
        paired_difference([1.0, 2.0], [1.0])


def test_pairs_remove_what_the_seeds_share() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(0.1, 0.02, 5)
    ours, other = shared + 0.001 + rng.normal(0, 1e-5, 5), shared
    got = paired_difference(list(ours), list(other))
    assert got.p_value < 1e-6 and got.low > 0
    assert got.relative == pytest.approx((ours.mean() - other.mean()) / other.mean())
    # Unpaired, the same difference drowns in the spread of the seeds.
    shuffled = paired_difference(list(ours), list(other[[2, 4, 1, 0, 3]]))
    assert shuffled.p_value > 0.05


def test_constant_differences_are_certain() -> None:
    assert paired_difference([1.0, 2.0], [1.0, 2.0]).p_value == 1
    assert paired_difference([1.5, 2.5], [1.0, 2.0]).p_value == 0


def test_the_paired_test_against_scipy() -> None:
    rng = np.random.default_rng(3)
    for count in (2, 3, 5, 40):
        a, b = rng.normal(size=(2, count))
        expected = ttest_rel(a, b)
        low, high = expected.confidence_interval(0.9)
        got = paired_difference(list(a), list(b), 0.9)
        assert got.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert (got.low, got.high) == pytest.approx((low, high), rel=1e-9)


def test_the_paired_test_against_every_change_of_sign() -> None:
    """With many pairs the t-test agrees with the exact test that flips signs."""
    rng = np.random.default_rng(2)
    gaps = rng.normal(0.4, 1.0, 14)
    sums = [abs(np.dot(signs, gaps)) for signs in itertools.product((-1, 1), repeat=14)]
    exact = np.mean(np.array(sums) >= abs(gaps.sum()) - 1e-12)
    got = paired_difference(list(gaps), [0.0] * 14).p_value
    assert got == pytest.approx(exact, abs=0.02)


def closed(p: list[float]) -> list[float]:
    """Holm by the closure principle: a hypothesis falls if every set that holds it falls."""
    out = []
    for k in range(len(p)):
        sets = [s for n in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), n)]
        out.append(min(1.0, max(len(s) * min(p[j] for j in s) for s in sets if k in s)))
    return out


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_closed_bonferroni(p: list[float]) -> None:
    assert holm(p) == pytest.approx(closed(p))


def test_holm_leaves_out_what_has_no_value() -> None:
    got = holm([0.01, math.nan, 0.04])
    assert got[0] == pytest.approx(0.02) and math.isnan(got[1]) and got[2] == pytest.approx(0.04)


def test_a_pair_says_how_alike_its_sides_are() -> None:
    a, b = [0.1, 0.3, 0.2, 0.5], [0.2, 0.25, 0.3, 0.4]
    found = paired_difference(a, b)
    assert found.correlation == pytest.approx(pearsonr(a, b).statistic)
    assert found.other == pytest.approx(0.2875)
    assert math.isnan(paired_difference(a[:2], b[:2]).correlation)
    assert math.isnan(paired_difference(a, [0.2] * 4).correlation)
