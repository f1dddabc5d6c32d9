"""From a table of one's own to a train and a test set: cleaning, k-core, three ways to split.

The procedures are those behind Table B.1 (Appendix B.1): ratings below a threshold are dropped,
repeated pairs count once, users and items with fewer than ten interactions are removed until none
is left, and ids are numbered in sorted order.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from psl.errors import DataError
from psl.files import replace_file

__all__ = ["SPLITS", "k_core", "prepare", "read_table", "split", "statistics", "write_archive"]

SPLITS = ("iid", "popularity", "temporal")
COLUMNS = ("user", "item")
# What stands for a number that is not there.  Names are read as they are: a user may be called NA.
NO_NUMBER = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")


def read_table(
    path: Path,
    *,
    user: str = "user",
    item: str = "item",
    rating: str | None = None,
    timestamp: str | None = None,
) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet file into columns user, item and, if named, rating, timestamp.

    Parameters
    ----------
    path : Path
        The ending decides: .csv, .tsv, .txt (tabs) or .parquet; .gz after the first three.
    user, item : str
        What the columns are called in the file.  Their entries are names, whatever they look like:
        ``NA``, ``null`` and ``007`` are not changed.  Numbers, as Parquet may have them, become the
        names that a CSV file would have.
    rating, timestamp : str, optional
        Of numbers; not given where there is none, or it is not used.  A timestamp may also be a
        date, with a time of day or without (ISO 8601, in UTC unless it says otherwise).

    Returns
    -------
    DataFrame
        Rows in the order of the file; dates and times are seconds since 1970.

    Raises
    ------
    DataError
        If the file is missing or of another kind, lacks a column, or an entry is empty; if one
        column is named twice, or its numbers are no names.
    """
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind not in (".csv", ".tsv", ".txt", ".parquet"):
        raise DataError(f"{path}: give a .csv, .tsv, .txt or .parquet file")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    given = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    named = {key: name for key, name in given.items() if name is not None}
    for key, name in named.items():
        first = next(k for k, n in named.items() if n == name)
        if key != first:
            raise DataError(f"{path}: the column {name!r} cannot be both {first} and {key}")
    try:
        if kind == ".parquet":
            rows = pd.read_parquet(path)
        else:
            rows = pd.read_csv(
                path,
                sep=_separator(kind),
                dtype={named[c]: str for c in COLUMNS},
                keep_default_na=False,
                na_values={
                    name: [""] if key in COLUMNS else list(NO_NUMBER) for key, name in named.items()
                },
            )
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow (pip install pyarrow)") from error
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a table: {reason}") from error
    missing = [name for name in named.values() if name not in rows.columns]
    if missing:
        has = ", ".join(map(str, rows.columns))
        raise DataError(f"{path}: no column {missing[0]!r}; it has: {has}")
    rows = rows[list(named.values())].set_axis(list(named), axis=1)
    for key in named:
        if rows[key].isna().any():
            row = int(rows[key].isna().to_numpy().argmax())
            place = f"row {row + 1}" if kind == ".parquet" else f"line {_line_of(path, kind, row)}"
            raise DataError(f"{path}: the {key} is empty in {place}")
        what = f"{path}: the column {named[key]!r} ({key})"
        if key in COLUMNS:
            rows[key] = _as_names(rows[key], what)
        elif key == "timestamp":
            rows[key] = _as_times(rows[key], what)
        elif not pd.api.types.is_numeric_dtype(rows[key]):
            raise DataError(f"{what} must hold numbers")
    return rows


def _separator(kind: str) -> str:
    return "," if kind == ".csv" else "\t"


def _line_of(path: Path, kind: str, row: int) -> int:
    """Return the line of a text file that a row of its table starts in; blank lines are no rows."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        reader, line, rows = csv.reader(file, delimiter=_separator(kind)), 1, -1  # the header
        for fields in reader:
            rows += len(fields) > 1 or bool("".join(fields).strip())
            if rows > row:
                break
            line = reader.line_num + 1
    return line


def _as_names(column: pd.Series, what: str) -> pd.Series:
    """Return the entries of a column without gaps as text."""
    if pd.api.types.is_float_dtype(column):
        broken = column[column % 1 != 0]  # infinity too
        if len(broken):
            raise DataError(f"{what} must hold names or whole numbers, got {broken.iloc[0]}")
        column = column.map(int)
    return column.astype(str)


def _as_times(column: pd.Series, what: str) -> pd.Series:
    """Return numbers as they are, and dates and times in seconds since 1970."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    times = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    if times.isna().any():
        bad = column[times.isna()].iloc[0]
        raise DataError(f"{what} must hold numbers, or times as 2024-05-31T18:00:00Z, got {bad!r}")
    return (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


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


def statistics(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    """Return counts, density, and how much of each side belongs to train's top fifth of items."""
    users, items = train["user"].nunique(), train["item"].nunique()
    popular = train["item"].value_counts(sort=False)
    top = popular.nlargest(max(items // 5, 1)).index
    return {
        "users": users,
        "items": items,
        "train": len(train),
        "test": len(test),
        "density": (len(train) + len(test)) / (users * items),
        "median train per user": float(train["user"].value_counts().median()),
        "users without test": users - test["user"].nunique(),
        "top fifth of items, share of train": float(train["item"].isin(top).mean()),
        "top fifth of items, share of test": float(test["item"].isin(top).mean()),
    }


def write_archive(
    path: Path, train: pd.DataFrame, test: pd.DataFrame, names: dict[str, list[str]]
) -> None:
    """Write the layout of the public datasets: two tables of ids, two lists of names, a summary.

    Users and items that the split left without a training row are taken out and the ids numbered
    anew, so the names in the lists are those of the ids in the tables.
    """
    sheets = {}
    for column in COLUMNS:
        kept = np.unique(train[column])
        train, test = (
            t.assign(**{column: np.searchsorted(kept, t[column].to_numpy())}) for t in (train, test)
        )
        of = [names[column][i] for i in kept]
        sheets[f"{column}_list"] = pd.DataFrame({"orgid": of, "procid": range(len(of))})
    for part, rows in (("train", train), ("test", test)):
        rows = rows.sort_values(list(COLUMNS))
        sheets[part] = rows.set_axis(["user_procid", "item_procid"], axis=1)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, text: str) -> None:  # without the date: equal tables, equal bytes
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)

        for name, sheet in sorted(sheets.items()):
            put(f"{name}.tsv", sheet.to_csv(sep="\t", index=False, lineterminator="\n"))
        summary = statistics(train, test)
        put("summary.txt", "".join(f"{key}: {value:g}\n" for key, value in summary.items()))
    replace_file(path, content.getvalue())
