"""The set of observed pairs: what it refuses, how it splits, and the data with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from psl import datasets
from psl.errors import DataError
from psl.interactions import Interactions, holdout, synthetic


def pairs(*rows: tuple[int, int], shape: tuple[int, int] = (4, 6)) -> Interactions:
    users, items = np.array(rows).T
    return Interactions.from_pairs(users, items, *shape)


def test_pairs_are_a_set() -> None:
    one = pairs((2, 5), (0, 3), (2, 1), (2, 5))
    assert len(one) == 3
    assert one.of(2).tolist() == [1, 5] and one.of(1).tolist() == []
    assert one.users.tolist() == [0, 2, 2] and one.degrees.tolist() == [1, 0, 2, 0]
    assert one.popularity.tolist() == [0, 1, 0, 1, 0, 1]
    other = pairs((2, 1), (2, 5), (0, 3))
    assert one.fingerprint() == other.fingerprint()
    changed = {
        pairs((2, 5), (0, 3), (2, 2)).fingerprint(),
        pairs((2, 5), (0, 3)).fingerprint(),
        pairs((2, 5), (0, 3), (2, 1), shape=(5, 6)).fingerprint(),
        pairs((2, 5), (0, 3), (2, 1), shape=(4, 7)).fingerprint(),
    }
    assert len(changed | {one.fingerprint()}) == 5


def test_difference() -> None:
    one = pairs((0, 1), (1, 2), (3, 0))
    left = one.difference(pairs((1, 2), (3, 1)))
    assert left.fingerprint() == pairs((0, 1), (3, 0)).fingerprint()
    with pytest.raises(DataError, match="no interaction"):
        one.difference(one)
    with pytest.raises(DataError, match="different users or items"):
        one.difference(pairs((0, 1), shape=(5, 6)))


def test_union() -> None:
    both = pairs((0, 1), (1, 2)).union(pairs((0, 1), (3, 0)))
    assert both.fingerprint() == pairs((0, 1), (1, 2), (3, 0)).fingerprint()
    with pytest.raises(DataError, match="different users"):
        both.union(pairs((0, 1), shape=(5, 6)))


@pytest.mark.parametrize(
    ("users", "items", "words"),
    [
        ([0, -1], [0, 0], "negative user id -1"),
        ([0, 1], [0, -3], "negative item id -3"),
        ([0, 4], [0, 0], "user id 4 is not below 4"),
        ([0, 1], [0, 6], "item id 6 is not below 6"),
        ([], [], "the split is empty"),
        ([0, 1], [0], "same length"),
    ],
)
def test_refusals(users: list[int], items: list[int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Interactions.from_pairs(np.array(users), np.array(items), 4, 6)


@pytest.mark.parametrize(
    "ids",
    [
        np.array([0.9, 1.2]),
        np.array([0.0, 1.0]),
        np.array([0.0, np.nan]),
        np.array(["0", "1"]),
        np.array([0, 1], dtype=object),
        np.array([False, True]),
    ],
)
def test_ids_that_are_no_integers(ids: np.ndarray) -> None:
    """A float would be cut down to a neighbour's id."""
    whole = np.array([0, 1])
    for users, items, which in ((ids, whole, "user"), (whole, ids, "item")):
        with pytest.raises(DataError, match=f"{which} ids must be integers, got"):
            Interactions.from_pairs(users, items, 4, 6)


def test_every_kind_of_integer_is_an_id() -> None:
    for kind in (np.int8, np.uint16, np.int32, np.uint64):
        ids = np.array([0, 1], dtype=kind)
        assert Interactions.from_pairs(ids, ids, 4, 6).items.dtype == np.int64
    with pytest.raises(DataError, match="is not below 4"):  # it does not wrap around
        Interactions.from_pairs(np.array([2**63 + 1], dtype=np.uint64), np.array([0]), 4, 6)


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
