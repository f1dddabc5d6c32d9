"""A table of one's own, from a file: names as they are, times as numbers, no gaps."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.errors import ParserWarning

from psl.errors import DataError

__all__ = ["COLUMNS", "read_table"]

COLUMNS = ("user", "item")
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
# What stands for a number that is not there.  Names are read as they are: a user may be called NA.
NO_NUMBER = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")


def read_table(
    path: Path | str,
    *,
    user: str = "user",
    item: str = "item",
    rating: str | None = None,
    timestamp: str | None = None,
    separator: str | None = None,
    header: bool = True,
) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet file into columns user, item and, if named, rating, timestamp.

    Parameters
    ----------
    path : Path
        The ending decides: .csv, .tsv, .txt (tabs) or .parquet; .gz after the first three.  Any
        other but .parquet is text too where ``separator`` is given.
    user, item : str
        What the columns are called in the file.  Their entries are names, whatever they look like:
        ``NA``, ``null`` and ``007`` are not changed.  Numbers, as Parquet may have them, become the
        names that a CSV file would have.
    rating, timestamp : str, optional
        Of numbers; not given where there is none, or it is not used.  A timestamp may also be a
        date, with a time of day or without (ISO 8601, in UTC unless it says otherwise).
    separator : str, optional
        What stands between two entries of a text file, if the ending says it wrongly; one of
        several characters, as ``"::"``, knows no quotes.
    header : bool
        Whether the first line of a text file names the columns.  If not, a column is called by its
        place, ``"1"`` the first.

    Returns
    -------
    DataFrame
        Rows in the order of the file; dates and times are seconds since 1970.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another kind, lacks a column, or an entry is empty; if
        rows are longer than the header, one column is named twice, or an entry is no name (a broken
        number, a carriage return in it) or no time.
    """
    path = Path(path)
    zipped = path.suffix.lower() == ".gz"
    kind = (path.with_suffix("") if zipped else path).suffix.lower()
    if kind == ".parquet":
        if separator is not None or not header:
            raise DataError(f"{path}: a Parquet file has no separator, and names its columns")
    elif separator is None:
        separator = SEPARATORS.get(kind)
        if separator is None:
            raise DataError(f"{path}: give a .csv, .tsv, .txt or .parquet file, or a separator")
    elif not separator or set(separator) & set('"\r\n'):
        raise DataError(f"{path}: {separator!r} separates no entries")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    given = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    named = {key: name for key, name in given.items() if name is not None}
    for key, name in named.items():
        first = next(k for k, n in named.items() if n == name)
        if key != first:
            raise DataError(f"{path}: the column {name!r} cannot be both {first} and {key}")
    try:
        if separator is None:
            rows = pd.read_parquet(path)
        else:
            rows = _read_text(path, named, separator, header)
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow (pip install pyarrow)") from error
    except (ValueError, OSError, EOFError, zlib.error, ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a table: {reason}") from error
    missing = [name for name in named.values() if name not in rows.columns]
    if missing:
        has = ", ".join(map(str, rows.columns))
        if separator is not None and len(rows.columns) == 1:
            has += f" (is {separator!r} the separator?)"
        raise DataError(f"{path}: no column {missing[0]!r}; it has: {has}")
    rows = rows[list(named.values())].set_axis(list(named), axis=1)
    for key in named:
        if rows[key].isna().any():
            row = int(rows[key].isna().to_numpy().argmax())
            place = f"row {row + 1}"
            if separator is not None:
                place = f"line {_line_of(path, separator, header, row)}"
            raise DataError(f"{path}: the {key} is empty in {place}")
        what = f"{path}: the column {named[key]!r} ({key})"
        if key in COLUMNS:
            rows[key] = _as_names(rows[key], what)
        elif key == "timestamp":
            rows[key] = _as_times(rows[key], what)
        elif not pd.api.types.is_numeric_dtype(rows[key]):
            raise DataError(f"{what} must hold numbers")
    return rows


def _read_text(path: Path, named: dict[str, str], separator: str, header: bool) -> pd.DataFrame:
    form: dict[str, Any] = {
        "sep": separator if len(separator) == 1 else re.escape(separator),
        "engine": "c" if len(separator) == 1 else "python",
        "index_col": False,  # or a header that is too short would shift every column by one
        "compression": "gzip" if path.suffix.lower() == ".gz" else None,
    }
    if not header:
        width = pd.read_csv(path, **form, header=None, nrows=1).shape[1]
        form |= {"header": None, "names": [str(k + 1) for k in range(width)]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ParserWarning)  # rows that are longer than the header
        return pd.read_csv(
            path,
            **form,
            dtype={named[c]: str for c in COLUMNS},
            keep_default_na=False,
            na_values={
                name: [""] if key in COLUMNS else list(NO_NUMBER) for key, name in named.items()
            },
        )


def _line_of(path: Path, separator: str, header: bool, row: int) -> int:
    """Return the line of a text file that a row of its table starts in; blank lines are no rows."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        # A separator of several characters knows no quotes: a row is a line that is not blank.
        one = {"delimiter": separator} if len(separator) == 1 else {"quoting": csv.QUOTE_NONE}
        reader, line, rows = csv.reader(file, **one), 1, -1 if header else 0
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
    names = column.astype(str)
    if names.str.contains("\r", regex=False).any():  # a list of names could not hold it
        bad = names[names.str.contains("\r", regex=False)].iloc[0]
        raise DataError(f"{what} holds a carriage return: {bad!r}")
    return names


def _as_times(column: pd.Series, what: str) -> pd.Series:
    """Return numbers as they are, and dates and times in seconds since 1970."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    times = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    if times.isna().any():
        bad = column[times.isna()].iloc[0]
        raise DataError(f"{what} must hold numbers, or times as 2024-05-31T18:00:00Z, got {bad!r}")
    start = pd.Timestamp(0, tz="UTC").as_unit("s")  # in nanoseconds a time would end in 2262
    return (times - start).dt.total_seconds()
