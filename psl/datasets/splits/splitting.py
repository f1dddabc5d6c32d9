"""Cleaning, k-core, and three ways to split.

The procedures are those behind Table B.1 (Appendix B.1): ratings below a threshold are dropped,
repeated pairs count once, users and items with fewer than ten interactions are removed until none
is left, and ids are numbered in sorted order.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from psl.datasets.splits.entries import COLUMNS
from psl.errors import DataError

__all__ = ["SPLITS", "k_core", "prepare", "split"]

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


def prepare(
    rows: pd.DataFrame, *, min_rating: float | None = 3, core: int = 10
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Apply threshold, deduplication (the latest stays) and k-core; number the ids.

    Returns
    -------
    rows : DataFrame
        Columns ``user`` and ``item`` as numbers from 0 in the order of the sorted names, and
        ``timestamp`` if there was one; sorted by user, then item.
    names : dict
        ``"user"`` and ``"item"``: the names, by number.

    Raises
    ------
    DataError
        If nothing is left.
    """
    if min_rating is not None and "rating" in rows:
        rows = rows[rows["rating"] >= min_rating]
    if "timestamp" in rows:
        rows = rows.sort_values("timestamp", kind="stable")
    rows = k_core(rows.drop_duplicates(list(COLUMNS), keep="last"), core)
    if rows.empty:
        raise DataError(f"nothing is left of the table: try --core below {core}, or --min-rating")
    names, out = {}, rows.drop(columns="rating", errors="ignore").copy()
    for column in COLUMNS:
        out[column], found = pd.factorize(rows[column], sort=True)
        names[column] = [str(name) for name in found]
    return out.sort_values(list(COLUMNS)).reset_index(drop=True), names


def split(
    rows: pd.DataFrame, setting: str, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the rows of :func:`prepare`; test rows of users or items unseen in train are dropped.

    Parameters
    ----------
    rows : DataFrame
    setting : {"iid", "popularity", "temporal"}
        ``"iid"``: of each user a random ``floor(0.8 n)`` are trained on.  ``"popularity"``: a fifth
        of all rows is moved to test, an item drawn uniformly and one of its rows each time, the
        last row of an item never: the test set is even over items where train is not.
        ``"temporal"``: the first 60 % of the rows in time against the last 20 %.
    rng : numpy.random.Generator

    Returns
    -------
    train, test : DataFrame

    Raises
    ------
    DataError
        For another name, times that are missing, or a split with an empty side.
    """
    if setting == "iid":
        test = _by_user(rows, rng)
    elif setting == "popularity":
        test = _by_item(rows, rng)
    elif setting == "temporal":
        place = _by_time(rows)
        near = (place < int(0.6 * len(rows))) | (place >= len(rows) - int(0.2 * len(rows)))
        test = place[near] >= int(0.6 * len(rows))
        rows = rows[near]
    else:
        raise DataError(f"unknown split {setting!r}. Valid names: {', '.join(SPLITS)}")
    train, held = rows[~test], rows[test]
    for column in COLUMNS:
        held = held[held[column].isin(train[column])]
    if train.empty or held.empty:
        raise DataError(f"{len(rows)} interactions are too few for this split")
    return train[list(COLUMNS)], held[list(COLUMNS)]


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
    place = np.empty(len(rows), dtype=np.int64)
    place[np.argsort(rows["timestamp"].to_numpy(), kind="stable")] = np.arange(len(rows))
    return place
