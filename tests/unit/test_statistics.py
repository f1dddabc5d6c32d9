"""Intervals and tests over seeds: against simulation, enumeration and textbook values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nct, pearsonr, permutation_test, t, ttest_rel

from companion.statistics import (
    holm,
    interval,
    paired_difference,
    power,
    prediction_half_width,
    robust_spread,
    seeds_needed,
    sign_flip,
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
    """From the spread of other groups, of other means and sizes."""
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(2000):
        groups = [list(m * rng.normal(1.0, 0.02, 5)) for m in (2.0, 50.0, 7.0, 1.0, 3.0)]
        width = prediction_half_width(2.0 * robust_spread(groups), 20, 3)
        near = np.mean(2.0 * rng.normal(1.0, 0.02, 3))
        hits += abs(near - 2.0 * rng.normal(1.0, 0.02)) <= width
    assert abs(hits / 2000 - 0.95) < 0.03, "the median of five is noisier than their mean"


def test_a_spread_needs_two_of_a_kind() -> None:
    assert robust_spread([[1.0, 3.0]]) == pytest.approx(np.std([0.5, 1.5], ddof=1))
    assert math.isnan(robust_spread([[1.0], [5.0]])) and math.isnan(robust_spread([]))
    for freedom, count in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least one"):
            prediction_half_width(0.1, freedom, count)


@pytest.mark.parametrize("sizes", [(5,) * 400, (3,) * 400, (2, 3, 5) * 150])
def test_the_spread_is_that_of_the_groups_whatever_their_sizes(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    groups = [
        list(m * rng.normal(1.0, 0.02, n))
        for m, n in zip(rng.random(len(sizes)) + 1, sizes, strict=True)
    ]
    assert robust_spread(groups) == pytest.approx(0.02, rel=0.12)


def test_one_wrong_value_hardly_moves_the_spread() -> None:
    rng = np.random.default_rng(2)
    groups = [list(rng.normal(1.0, 0.01, 3)) for _ in range(5)]
    before = robust_spread(groups)
    groups[0][0] = 0.0
    assert robust_spread(groups) < 2 * before, "the pooled spread is 0.3 here"


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


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_sign_flips_are_those_of_a_permutation_test(count: int) -> None:
    d = np.random.default_rng(count).normal(0.5, 1.0, count)
    exact = permutation_test(
        (d,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(list(d)) == pytest.approx(exact.pvalue)
    assert sign_flip(list(abs(d) + 0.1)) == pytest.approx(2 / 2**count)
    assert sign_flip(list(-abs(d) - 0.1)) == pytest.approx(2 / 2**count)


def test_sign_flips_count_ties_and_refuse_what_they_cannot_do() -> None:
    assert sign_flip([1.0, -1.0]) == 1.0 and sign_flip([0.0]) == 1.0
    assert sign_flip([0.1, 0.2, 0.3]) == pytest.approx(0.25), "0.1 + 0.2 + 0.3 in any order"
    for bad in ([], [1.0] * 21):
        with pytest.raises(ValueError, match="one to twenty"):
            sign_flip(bad)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("level", [0.05, 0.05 / 6])
def test_power_is_that_of_the_noncentral_t(count: int, level: float) -> None:
    for effect in (0.0, 0.3, -1.0, 2.0):
        bar, shift = t.isf(level / 2, count - 1), abs(effect) * math.sqrt(count)
        exact = nct.sf(bar, count - 1, shift) + nct.cdf(-bar, count - 1, shift)
        assert power(effect, 1.0, count, level) == pytest.approx(exact, abs=2e-4)


def test_power_of_a_large_effect_and_without_spread() -> None:
    assert power(50.0, 1.0, 5) == pytest.approx(1.0), "where scipy's is not a number"
    assert power(1.0, 0.0, 5) == 1.0 and power(0.0, 0.0, 5) == 0.05
    with pytest.raises(ValueError, match="two pairs"):
        power(1.0, 1.0, 1)


def test_the_seeds_that_are_needed_are_the_first_that_suffice() -> None:
    count = seeds_needed(0.02, 0.013, 0.05 / 6)
    assert count is not None
    assert power(0.02, 0.013, count, 0.05 / 6) > 0.8 >= power(0.02, 0.013, count - 1, 0.05 / 6)
    assert seeds_needed(0.5, 0.0) == 2 and seeds_needed(1e-5, 1.0) is None
