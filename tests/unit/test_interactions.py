"""The set of observed pairs: what it refuses, and its views."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.sparse import csr_matrix

from psl.errors import DataError
from psl.interactions import Interactions


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


def column(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


WELL = {"indptr": column(0, 0, 3, 5, 5), "items": column(1, 3, 4, 0, 2), "num_items": 6}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"indptr": [0, 3, 5]}, "indptr must be an ndarray, got list"),
        ({"indptr": WELL["indptr"].astype(np.int32)}, r"int32 .*indptr.astype\(numpy.int64\)"),
        ({"items": WELL["items"].astype(np.float64)}, "items must be a column of int64"),
        ({"items": WELL["items"][None]}, "items must be a column of int64"),
        ({"indptr": column()}, "indptr must rise from 0"),
        ({"indptr": column(1, 3, 5)}, "indptr must rise from 0"),
        ({"indptr": column(0, 3, 4)}, "to the number of items, 5"),
        ({"indptr": column(0, 3, 9)}, "to the number of items, 5"),
        ({"indptr": column(0, 4, 3, 5)}, "indptr must rise from 0"),
        ({"indptr": column(0, 9, 5)}, "indptr must rise from 0"),
        ({"items": column(-1, 3, 4, 0, 2)}, r"not in 0 \.\. 5: -1 to 4"),
        ({"num_items": 4}, r"not in 0 \.\. 3: 0 to 4"),
        ({"items": column(3, 1, 4, 0, 2)}, "must ascend.*sort_indices"),
        ({"items": column(1, 3, 3, 0, 2)}, "each once.*sum_duplicates"),
        ({"items": column(1, 3, 4, 2, 0)}, "must ascend"),
        ({"indptr": column(0, 0, 5)}, "must ascend"),
    ],
)
def test_what_bisection_would_be_wrong_on_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=f"{words}.*from_pairs builds it"):
        Interactions(**{**WELL, **changes})


def test_a_table_of_ones_own_is_taken_as_it_is() -> None:
    built = Interactions.from_pairs(column(1, 1, 1, 2, 2), column(1, 3, 4, 0, 2), 4, 6)
    assert Interactions(**WELL).fingerprint() == built.fingerprint()
    # A user's first item may be larger than, equal to or smaller than the last of the one before.
    for last in (1, 4, 5):
        assert len(Interactions(column(0, 2, 2, 3), column(0, 4, last), 6)) == 3
    assert len(Interactions(column(0, 0), column(), 6)) == len(Interactions(column(0), column(), 0))
    matrix = csr_matrix((np.ones(5), np.array([4, 1, 3, 2, 0]), np.array([0, 0, 3, 5, 5])), (4, 6))
    parts = [x.astype(np.int64) for x in (matrix.indptr, matrix.indices)]
    with pytest.raises(DataError, match="of a scipy matrix"):
        Interactions(*parts, 6)
    matrix.sort_indices()
    parts = [x.astype(np.int64) for x in (matrix.indptr, matrix.indices)]
    assert Interactions(*parts, 6).fingerprint() == built.fingerprint()


def test_the_mask_is_the_set() -> None:
    data = pairs((3, 0), (3, 5), (0, 2), (1, 1))
    mask = data.mask(torch.tensor([3, 0, 3, 2]))
    assert mask.dtype == torch.bool and mask.shape == (4, 6)
    for row, user in enumerate([3, 0, 3, 2]):
        assert mask[row].nonzero().flatten().tolist() == data.of(user).tolist()


def test_pairs_are_chosen_by_a_mask_or_by_position() -> None:
    data = pairs((0, 1), (0, 2), (1, 1))
    for chosen in (np.array([True, False, True]), np.array([2, 0])):
        some = data.where(chosen)
        assert (some.users.tolist(), some.items.tolist()) == ([0, 1], [1, 1])
        assert (some.num_users, some.num_items) == (data.num_users, data.num_items)
    with pytest.raises(DataError, match="no interaction"):
        data.where(np.zeros(3, dtype=bool))


def test_a_sparse_matrix_and_a_table_give_the_same_set() -> None:
    users, items = np.array([2, 0, 2, 0, 2]), np.array([1, 3, 0, 3, 4])
    expected = Interactions.from_pairs(users, items, 3, 5)
    matrix = sparse.coo_array((np.array([1.0, 2.0, 1.0, 0.0, 3.0]), (users, items)), shape=(3, 5))
    for form in (matrix, matrix.tocsr(), matrix.tocsc()):
        found = Interactions.from_scipy(form)
        assert found.fingerprint() == expected.fingerprint()
    explicit = sparse.csr_array(([1.0, 0.0], ([0, 1], [0, 1])), shape=(2, 2))
    assert len(Interactions.from_scipy(explicit)) == 1, "a stored zero is no pair"

    names = pd.DataFrame({"who": ["c", "a", "c", "a", "c"], "what": [20, 40, 10, 40, 50]})
    found, user_ids, item_ids = Interactions.from_dataframe(names, user="who", item="what")
    assert list(user_ids) == ["a", "c"] and list(item_ids) == [10, 20, 40, 50]
    pairs = set(zip(user_ids[found.users], item_ids[found.items], strict=True))
    assert pairs == {("c", 20), ("a", 40), ("c", 10), ("c", 50)}


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"user": ["a"], "thing": [1]}, "no column 'item'; there are user, thing"),
        ({"user": ["a", None], "item": [1, 2]}, "'user' is missing"),
        ({"user": ["a", "b"], "item": [1, math.nan]}, "'item' is missing"),
        ({"user": ["a", 1], "item": [1, 2]}, "'user' do not sort"),
        ({"user": [], "item": []}, "no interaction"),
    ],
)
def test_a_table_that_does_not_serve(frame: dict[str, list[Any]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Interactions.from_dataframe(pd.DataFrame(frame))


def test_a_nullable_column_and_one_that_stands_twice() -> None:
    frame = pd.DataFrame({"user": pd.array([1, pd.NA], dtype="Int64"), "item": [1, 2]})
    with pytest.raises(DataError, match="'user' is missing"):
        Interactions.from_dataframe(frame)
    twice = pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
    with pytest.raises(DataError, match="there are 2 columns 'item'"):
        Interactions.from_dataframe(twice)


def test_a_dense_array_is_no_sparse_matrix() -> None:
    with pytest.raises(DataError, match="sparse matrix"):
        Interactions.from_scipy(np.eye(3))


def test_views_are_made_once_and_not_pickled() -> None:
    data = Interactions.from_pairs(np.array([0, 1, 1]), np.array([2, 0, 2]), 2, 3)
    view = data.to("cpu")
    assert data.to(torch.device("cpu")) is view
    assert view.users.tolist() == [0, 1, 1] and view.items.tolist() == [2, 0, 2]
    assert view.indptr.tolist() == [0, 1, 3] and data.users is data.users
    again = pickle.loads(pickle.dumps(data))
    assert set(vars(again)) == {"indptr", "items", "num_items"}
    assert again.fingerprint() == data.fingerprint() and again.to("cpu") is not view
