"""Pairs set aside, and the generated data with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from companion import datasets
from companion.datasets import synthetic
from psl.errors import DataError
from psl.holdout import holdout
from psl.interactions import Interactions


def pairs(*rows: tuple[int, int], shape: tuple[int, int] = (4, 6)) -> Interactions:
    users, items = np.array(rows).T
    return Interactions.from_pairs(users, items, *shape)


@pytest.mark.parametrize("fraction", [1.0, 0.0, -1.0, 1.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    """Of 1 nobody would keep a pair, and the error would speak of users of one pair."""
    data = pairs((0, 1), (0, 2), (0, 3))
    with pytest.raises(DataError, match=f"between 0 and 1, got {fraction}"):
        holdout(data, fraction, np.random.default_rng(0))


def test_where_nothing_is_set_aside_the_reason_is_named() -> None:
    data = pairs((0, 1), (1, 1), (2, 3))
    with pytest.raises(DataError, match=r"no user has more than one interaction.*--core"):
        holdout(data, 0.9, np.random.default_rng(0))


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_holdout_takes_its_share_of_every_user(fraction: float) -> None:
    rng = np.random.default_rng(0)
    # User 50 has one interaction only.
    users, items = np.append(rng.integers(0, 50, 900), 50), rng.integers(0, 80, 901)
    data = Interactions.from_pairs(users, items, 51, 80)
    kept, held = holdout(data, fraction, np.random.default_rng(1))
    assert kept.union(held).fingerprint() == data.fingerprint()
    assert len(kept) + len(held) == len(data)
    expected = np.maximum(np.floor(fraction * data.degrees), 1)
    expected[data.degrees == 1] = 0  # a lone interaction stays
    assert held.degrees.tolist() == expected.tolist()
    again = holdout(data, fraction, np.random.default_rng(1))
    other = holdout(data, fraction, np.random.default_rng(2))
    assert again[1].fingerprint() == held.fingerprint() != other[1].fingerprint()


def test_holdout_is_uniform() -> None:
    """Each of ten items of a user is set aside about once in ten."""
    users, items = np.repeat(np.arange(4000), 10), np.tile(np.arange(10), 4000)
    data = Interactions.from_pairs(users, items, 4000, 10)
    _, held = holdout(data, 0.1, np.random.default_rng(3))
    expected = 400
    statistic = ((held.popularity - expected) ** 2 / expected).sum()
    assert statistic < 27.9  # chi-square, 9 degrees of freedom, p = .001


def test_synthetic_truth() -> None:
    seen, liked = synthetic(np.random.default_rng(5), 50, 90, relevant=20, observed=8)
    assert set(seen.degrees) == {8} and set(liked.degrees) == {20}
    for user in range(50):
        assert set(seen.of(user)) <= set(liked.of(user))
    with pytest.raises(DataError, match="observed <= relevant"):
        synthetic(np.random.default_rng(5), 5, 9, relevant=3, observed=4)


def test_the_embedded_dataset_is_what_it_was() -> None:
    data = datasets.load("synthetic")
    assert data.fingerprint == "6d6cb2298b309bc7712be70379b98ffc80e695fd120b40a573abbf651286cc80"
    assert data.liked is not None
    seen = data.train.union(data.test)
    assert len(seen) == 8000 and len(data.test) == 1600
    # Long tail: the top tenth of the items holds far more than a tenth of the interactions.
    top = np.sort(seen.popularity)[::-1][:60].sum() / len(seen)
    assert 0.25 < top < 0.9
    assert (data.liked.degrees - seen.degrees == 20).all(), "20 known false negatives a user"


@pytest.mark.parametrize(("fraction", "wanted"), [(0.29, 29), (0.57, 57), (1 / 3, 33), (0.999, 99)])
def test_a_fraction_of_a_hundred_is_its_percent(fraction: float, wanted: int) -> None:
    data = Interactions.from_pairs(np.zeros(100, int), np.arange(100), 1, 100)
    _, held = holdout(data, fraction, np.random.default_rng(0))
    assert len(held) == wanted


@pytest.mark.parametrize("fraction", [0.1, 0.2])
def test_what_the_recorded_runs_set_aside_has_not_moved(fraction: float) -> None:
    """A tenth to validate on and as marked pairs, a fifth of the synthetic dataset to test."""
    # A product may be rounded to a whole number at multiples of 5, and wrongly up to one below.
    degrees = np.concatenate([np.arange(2, 300), *(np.arange(n, 2000, 15) for n in (300, 314))])
    users = np.repeat(np.arange(len(degrees)), degrees)
    items = np.concatenate([np.arange(n) for n in degrees])
    data = Interactions.from_pairs(users, items, len(degrees), 2000)
    _, held = holdout(data, fraction, np.random.default_rng(0))
    assert (held.degrees == np.maximum((fraction * degrees).astype(int), 1)).all()
