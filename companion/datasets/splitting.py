"""Cleaning, k-core, and three ways to split.

The procedures are those behind Table B.1 (Appendix B.1): ratings below a threshold are dropped,
repeated pairs count once, users and items with fewer than ten interactions are removed until none
is left, and ids are numbered in sorted order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from companion.datasets.entries import COLUMNS
from psl.errors import DataError

__all__ = ["SPLITS", "Cleaned", "Split", "k_core", "prepare", "split"]

SPLITS = ("iid", "popularity", "temporal")


def k_core(rows: pd.DataFrame, k: int) -> pd.DataFrame:
    """Drop users and items with fewer than ``k`` rows until none is left."""
    while True:
        enough = np.ones(len(rows), dtype=bool)
        for column in COLUMNS:
            enough &= rows.groupby(column)[column].transform("size").to_numpy() >= k
        if enough.all():
            return rows
        rows = rows[enough]


class Cleaned(NamedTuple):
    """A table ready to be split.

    Attributes
    ----------
    rows : DataFrame
        Columns ``user`` and ``item`` as numbers from 0 in the order of the sorted names, and
        ``timestamp`` if there was one; sorted by user, then item.
    names : dict
        ``"user"`` and ``"item"``: the names, by number.
    left_out : dict
        How many rows each step took; with ``rows`` they add up to the rows that came in.
    notes : tuple of str
        What looks like a slip: names that differ by blanks alone, or go over several lines.
    """

    rows: pd.DataFrame
    names: dict[str, list[str]]
    left_out: dict[str, int]
    notes: tuple[str, ...]


class Split(NamedTuple):
    """What is trained on, and what is held out.

    Attributes
    ----------
    train : DataFrame
        Columns ``user`` and ``item``.
    test : DataFrame
    middle : DataFrame
        What a split by time leaves between them; else without rows.
    left_out : dict
        How many rows are in none of them, by the reason; all add up to the rows that came in.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    middle: pd.DataFrame
    left_out: dict[str, int]


def prepare(rows: pd.DataFrame, *, min_rating: float | None = 3, core: int = 10) -> Cleaned:
    """Apply threshold, deduplication (the latest stays) and k-core; number the ids.

    A rating, or a count, decides whether its row is a pair; its size is not used further.

    Raises
    ------
    DataError
        If nothing is left.
    """
    left_out, before = {}, len(rows)
    if min_rating is not None and "rating" in rows:
        rows = rows[rows["rating"] >= min_rating]
        left_out[f"ratings below {min_rating:g}"] = before - len(rows)
    if "timestamp" in rows:
        rows = rows.sort_values("timestamp", kind="stable")
    # By number from here on, in the order of the names: texts are compared once.
    numbered = {column: pd.factorize(rows[column], sort=True) for column in COLUMNS}
    rows = rows.assign(**{column: number for column, (number, _) in numbered.items()})
    pairs = rows.drop_duplicates(list(COLUMNS), keep="last")
    left_out["repeated pairs (the latest stays)"] = len(rows) - len(pairs)
    rows = k_core(pairs, core)
    left_out[f"users and items with fewer than {core} pairs"] = len(pairs) - len(rows)
    if rows.empty:
        reasons = ", ".join(f"{count:,} by {reason}" for reason, count in left_out.items() if count)
        raise DataError(
            f"nothing is left of {before:,} rows, {reasons}: try --core below {core}, or "
            "--min-rating"
        )
    names, out = {}, rows.drop(columns="rating", errors="ignore").copy()
    notes = []
    for column in COLUMNS:
        kept, out[column] = np.unique(rows[column].to_numpy(), return_inverse=True)
        names[column] = [str(name) for name in numbered[column][1][kept]]
        taken = set(names[column])
        alike = [n for n in names[column] if n != n.strip() and n.strip() in taken]
        if alike:
            notes.append(
                f"{len(alike):,} {column}s have the name of another but for blanks around it, as "
                f"{alike[0]!r} and {alike[0].strip()!r}; they count as two"
            )
        if several := [n for n in names[column] if "\n" in n]:
            notes.append(
                f"{len(several):,} names of {column}s go over several lines, as "
                f"{several[0][:60]!r}: was a quote left open? Rows within it are not read"
            )
    out = out.sort_values(list(COLUMNS)).reset_index(drop=True)
    return Cleaned(out, names, left_out, tuple(notes))


def split(rows: pd.DataFrame, setting: str, rng: np.random.Generator) -> Split:
    """Split the rows of :func:`prepare`; test rows of users or items unseen in train are dropped.

    Parameters
    ----------
    rows : DataFrame
    setting : {"iid", "popularity", "temporal"}
        ``"iid"``: of each user a random ``floor(0.8 n)`` are trained on.  ``"popularity"``: a fifth
        of all rows is moved to test, an item drawn uniformly and one of its rows each time, the
        last row of an item never: the test set is even over items where train is not.
        ``"temporal"``: the first 60 % of the rows in time are trained on, the last 20 % tested; the
        20 % between are known and neither, so that test is not the next day of train.
    rng : numpy.random.Generator

    Raises
    ------
    DataError
        For another name, times that are missing or all alike, or a split with an empty side.
    """
    between = np.zeros(len(rows), dtype=bool)
    if setting == "iid":
        test = _by_user(rows, rng)
    elif setting == "popularity":
        test = _by_item(rows, rng)
    elif setting == "temporal":
        place = _by_time(rows)
        test = place >= len(rows) - len(rows) // 5
        between = (place >= 3 * len(rows) // 5) & ~test
    else:
        raise DataError(f"unknown split {setting!r}. Valid names: {', '.join(SPLITS)}")
    train = rows[~test & ~between][list(COLUMNS)]
    left_out, parts = {}, {}
    for name, part in (("test", rows[test]), ("middle", rows[between])):
        seen = np.logical_and.reduce([part[column].isin(train[column]) for column in COLUMNS])
        parts[name] = part[seen][list(COLUMNS)]
        if len(part):
            left_out[f"{name}, of users or items not in train"] = int((~seen).sum())
    if train.empty or parts["test"].empty:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
        raise DataError(
            f"{len(rows):,} interactions are too few for this split: {len(train):,} to train on, "
            f"{len(parts['test']):,} to test" + (f" ({reasons})" if reasons else "")
        )
    return Split(train, parts["test"], parts["middle"], left_out)


def _by_user(rows: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    user = rows["user"].to_numpy()
    order = np.lexsort((rng.random(len(rows)), user))
    size = np.bincount(user)
    place = np.empty(len(rows), dtype=np.int64)
    place[order] = np.arange(len(rows)) - np.repeat(size.cumsum() - size, size)
    test: np.ndarray = place >= (0.8 * size[user]).astype(np.int64)
    return test


def _by_item(rows: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    item = rows["item"].to_numpy()
    order = np.lexsort((rng.random(len(rows)), item))
    left = np.bincount(item) - 1  # the last row of an item stays in train
    place = np.bincount(item).cumsum() - left - 1
    wanted, test = len(rows) - int(0.8 * len(rows)), np.zeros(len(rows), dtype=bool)
    while wanted and left.any():
        for i in rng.integers(len(left), size=2 * wanted).tolist():
            if left[i]:
                test[order[place[i]]] = True
                place[i] += 1
                left[i] -= 1
                wanted -= 1
                if not wanted:
                    break
    return test


def _by_time(rows: pd.DataFrame) -> np.ndarray:
    if "timestamp" not in rows:
        raise DataError("a temporal split needs --timestamp, the column of times")
    if len(rows) > 1 and rows["timestamp"].nunique() == 1:
        raise DataError(f"all {len(rows):,} times are the same: there is no order to split by")
    place = np.empty(len(rows), dtype=np.int64)
    place[np.argsort(rows["timestamp"].to_numpy(), kind="stable")] = np.arange(len(rows))
    return place
