"""Splits of one's own table: each procedure by its definition."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from companion import datasets
from interaction_tables import table
from psl.errors import DataError, TrainingError
from psl.training.refit import all_pairs


def prepared(**options) -> pd.DataFrame:
    return datasets.prepare(table(), **{"core": 5, **options})[0]


def slow_core(pairs: set[tuple[int, int]], k: int) -> set[tuple[int, int]]:
    """Take one user or item with too few pairs away at a time."""
    while True:
        for side in (0, 1):
            counts: dict[int, int] = {}
            for pair in pairs:
                counts[pair[side]] = counts.get(pair[side], 0) + 1
            poor = [x for x, n in counts.items() if n < k]
            if poor:
                pairs = {p for p in pairs if p[side] != poor[0]}
                break
        else:
            return pairs


@settings(max_examples=40, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=50), st.integers(1, 4))
def test_k_core_is_the_fixpoint(pairs: set[tuple[int, int]], k: int) -> None:
    rows = pd.DataFrame(sorted(pairs), columns=["user", "item"])
    left = datasets.k_core(rows, k)
    assert set(left.itertuples(index=False, name=None)) == slow_core(pairs, k)


def test_cleaning() -> None:
    rows, names = datasets.prepare(table(), min_rating=3, core=5)[:2]
    raw = table()
    kept = raw[raw["rating"] >= 3]
    assert not rows.duplicated(["user", "item"]).any()
    named = {(names["user"][u], names["item"][i]): t for u, i, t in rows.to_numpy()}
    latest = kept.groupby(["user", "item"])["timestamp"].max()
    assert all(latest[pair] == t for pair, t in named.items())
    assert names["user"] == sorted(names["user"]) and rows["user"].nunique() == len(names["user"])
    with pytest.raises(DataError, match="nothing is left"):
        datasets.prepare(table(), core=1000)


def test_iid_keeps_four_fifths_of_each_user() -> None:
    rows = prepared()
    train, test = datasets.split(rows, "iid", np.random.default_rng(0))[:2]
    size = rows["user"].value_counts().sort_index()
    assert (train["user"].value_counts().sort_index() == (0.8 * size).astype(int)).all()
    both = pd.concat([train, test])
    assert not both.duplicated().any() and len(both) <= len(rows)
    assert test["item"].isin(train["item"]).all()
    again, _ = datasets.split(rows, "iid", np.random.default_rng(0))[:2]
    other, _ = datasets.split(rows, "iid", np.random.default_rng(1))[:2]
    assert again.equals(train) and not other.equals(train)


def test_popularity_makes_test_even_over_items() -> None:
    rows = prepared()
    counts = np.zeros(rows["item"].nunique())
    for seed in range(30):
        train, test = datasets.split(rows, "popularity", np.random.default_rng(seed))[:2]
        assert set(train["item"]) == set(rows["item"]), "the last row of an item stays"
        assert len(rows) - len(train) == len(rows) - int(0.8 * len(rows))
        counts += test["item"].value_counts().reindex(range(len(counts)), fill_value=0).to_numpy()
    # Items with rows enough are drawn equally often, however popular they are.
    rich = rows["item"].value_counts().sort_index().to_numpy() > 30
    assert rich.sum() > 5 and chisquare(counts[rich]).pvalue > 1e-3
    stats = datasets.summary(train, test)
    assert (
        stats["top fifth of items, share of test"]
        < 0.7 * stats["top fifth of items, share of train"]
    )


def test_temporal_lets_no_test_row_before_a_training_row() -> None:
    rows = prepared()
    train, test = datasets.split(rows, "temporal", np.random.default_rng(0))[:2]
    time = rows.set_index(["user", "item"])["timestamp"]
    of = [time.loc[list(t.itertuples(index=False, name=None))] for t in (train, test)]
    assert of[0].max() < of[1].min()
    assert len(train) == int(0.6 * len(rows))
    with pytest.raises(DataError, match="needs --timestamp"):
        datasets.split(rows.drop(columns="timestamp"), "temporal", np.random.default_rng(0))
    with pytest.raises(DataError, match="unknown split 'random'"):
        datasets.split(rows, "random", np.random.default_rng(0))


@pytest.mark.parametrize("setting", datasets.SPLITS)
def test_an_archive_is_a_dataset(setting: str, tmp_path: Path) -> None:
    rows, names = datasets.prepare(table(), core=5)[:2]
    train, test = datasets.split(rows, setting, np.random.default_rng(0))[:2]
    path = tmp_path / "mine.zip"
    datasets.write_archive(path, train, test, names)
    first = path.read_bytes()
    datasets.write_archive(path, train, test, names)
    assert path.read_bytes() == first
    data = datasets.load(str(path))
    assert len(data.train) == len(train) and len(data.test) == len(test)
    assert data.train.num_users == train["user"].nunique()
    assert data.train.num_items == train["item"].nunique()
    # Names and numbers belong together: the pairs by name are those of the split.
    with zipfile.ZipFile(path) as archive:
        lists = {
            c: pd.read_csv(archive.open(f"{c}_list.tsv"), sep="\t").set_index("procid")["orgid"]
            for c in ("user", "item")
        }
    found = {
        (lists["user"][u], lists["item"][i])
        for u, i in zip(data.train.users, data.train.items, strict=True)
    }
    expected = {(names["user"][u], names["item"][i]) for u, i in train.to_numpy()}
    assert found == expected


def as_pairs(rows: pd.DataFrame) -> set[tuple[int, int]]:
    return set(rows[["user", "item"]].itertuples(index=False, name=None))


def test_temporal_trains_on_the_first_rows_and_tests_on_the_last_fifth() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "user": rng.integers(0, 20, 1000),
            "item": rng.integers(0, 50, 1000),
            "timestamp": rng.permutation(1000),
        }
    )
    rows = rows.drop_duplicates(["user", "item"]).reset_index(drop=True)
    train, test = datasets.split(rows, "temporal", rng)[:2]
    assert as_pairs(train) == as_pairs(rows.nsmallest(int(0.6 * len(rows)), "timestamp"))
    assert as_pairs(test) == as_pairs(rows.nlargest(int(0.2 * len(rows)), "timestamp"))


def test_nobody_is_tested_who_was_not_trained_on() -> None:
    """The last fifth: a new user, a new item, and two pairs of known ones."""
    known = [(u, i) for u in range(4) for i in range(4)]
    rows = pd.DataFrame([*known, (4, 0), (0, 4), (0, 1), (1, 0)], columns=["user", "item"])
    rows["timestamp"] = range(20)
    _, test = datasets.split(rows, "temporal", np.random.default_rng(0))[:2]
    assert as_pairs(test) == {(0, 1), (1, 0)}


def test_rows_of_one_time_stay_in_their_order() -> None:
    k = np.arange(4000)
    twice = pd.DataFrame({"user": k % 2000, "item": 0, "timestamp": k % 2000 % 3, "row": k})
    kept, _ = datasets.prepare(twice, core=1)[:2]
    assert (kept["row"] >= 2000).all(), "of a pair that is there twice the later row"
    rows = pd.DataFrame({"user": k % 40, "item": k % 7, "timestamp": k % 3})
    train, _ = datasets.split(rows, "temporal", np.random.default_rng(0))[:2]
    assert set(train.index) == set(np.lexsort((k, k % 3))[:2400])


def test_the_summary_of_a_split() -> None:
    columns = ["user", "item"]
    train = pd.DataFrame(
        [(0, 0), (0, 1), (0, 2), (1, 0), (1, 3), (2, 0), (2, 4), (3, 0)], columns=columns
    )
    test = pd.DataFrame([(1, 4), (1, 1), (1, 0)], columns=columns)
    assert datasets.summary(train, test) == {
        "users": 4,
        "items": 5,
        "train": 8,
        "test": 3,
        "density": 11 / 20,
        "median train per user": 2,
        "users without test": 3,
        "top fifth of items, share of train": 0.5,
        "top fifth of items, share of test": pytest.approx(1 / 3),
    }


@pytest.mark.parametrize("setting", datasets.SPLITS)
def test_every_row_is_accounted_for(setting: str) -> None:
    raw = table()
    cleaned = datasets.prepare(raw, min_rating=3, core=5)
    assert len(cleaned.rows) + sum(cleaned.left_out.values()) == len(raw)
    assert cleaned.left_out["ratings below 3"] == (raw["rating"] < 3).sum()
    made = datasets.split(cleaned.rows, setting, np.random.default_rng(0))
    parts = [made.train, made.test, made.middle]
    assert sum(map(len, parts)) + sum(made.left_out.values()) == len(cleaned.rows)
    assert not pd.concat(parts).duplicated().any()


def test_temporal_keeps_the_middle_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Of 20 rows 12 are trained on; half of the others have a user or an item that comes late."""
    known = [(u, i) for d in range(4) for u in range(4) for i in [(u + d) % 4]]
    pairs = [*known[:12], *known[12:14], (4, 0), (0, 4), *known[14:], (5, 0), (0, 5)]
    rows = pd.DataFrame(pairs, columns=["user", "item"]).assign(timestamp=range(20))
    made = datasets.split(rows, "temporal", np.random.default_rng(0))
    assert as_pairs(made.train) == set(known[:12])
    assert as_pairs(made.middle) == set(known[12:14]) and as_pairs(made.test) == set(known[14:])
    assert made.left_out == {
        "test, of users or items not in train": 2,
        "middle, of users or items not in train": 2,
    }
    names = {side: [f"{side}{k}" for k in range(6)] for side in ("user", "item")}
    datasets.write_archive(tmp_path / "mine.zip", made.train, made.test, names, made.middle)
    data = datasets.load(tmp_path / "mine.zip")
    assert data.middle is not None and len(data.middle) == 2 and len(data.known) == 14
    with pytest.raises(TrainingError, match="has every item"):  # train and test alone do not
        all_pairs(data)
    assert (data.train.union(data.test).degrees < 4).any()


def test_times_that_are_all_alike_are_no_order() -> None:
    rows = prepared().assign(timestamp=7)
    with pytest.raises(DataError, match=r"all [\d,]+ times are the same: there is no order"):
        datasets.split(rows, "temporal", np.random.default_rng(0))


def test_what_takes_all_rows_is_named() -> None:
    with pytest.raises(
        DataError, match=r"3,000 rows, 1,184 by ratings below 3, .* fewer than 1000"
    ):
        datasets.prepare(table(), min_rating=3, core=1000)


def test_names_that_differ_by_blanks_are_two_and_noted() -> None:
    rows = pd.DataFrame({"user": ["u", "v", "u"], "item": ["i5", " i5", "i6 "]})
    cleaned = datasets.prepare(rows, core=1)
    assert cleaned.names["item"] == [" i5", "i5", "i6 "]
    (note,) = cleaned.notes
    assert note.startswith("1 items have the name of another but for blanks") and "' i5'" in note
