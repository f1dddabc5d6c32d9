"""A table of one's own, from a file: names as they are, times as numbers, no gaps."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pandas as pd

from companion.datasets.delimited import read_delimited
from companion.datasets.entries import COLUMNS, as_names, as_numbers
from psl.errors import DataError

__all__ = ["read_table"]

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
# What stands for a number that is not there.  Names are read as they are: a user may be called NA.
NO_NUMBER = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")
NO_BRACES = {ord("{"): "{{", ord("}"): "}}"}


def read_table(
    path: Path | str,
    *,
    user: str = "user",
    item: str = "item",
    rating: str | None = None,
    timestamp: str | None = None,
    separator: str | None = None,
    header: bool = True,
    encoding: str = "utf-8",
    decimal: str = ".",
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
    encoding : str
        Of a text file: ``"latin-1"``, ``"cp1252"``, ``"utf-16"`` and what else Python knows.
    decimal : str
        What stands before the decimals of a number of a text file.

    Returns
    -------
    DataFrame
        Rows in the order of the file; dates and times are seconds since 1970.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another kind or encoding, or has no row; if it lacks a
        column or has two of its name; if a row is longer than the header; if an entry is empty, no
        name (a broken number, a list, a carriage return in it), no finite number, or no time; if
        times are too large to be told apart.
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
    elif not separator or set(separator) & set('"\r\n\0'):
        raise DataError(f"{path}: {separator!r} separates no entries")
    if decimal not in (".", ",") or decimal == separator:
        raise DataError(f"{path}: {decimal!r} is no mark of decimals, or separates the entries")
    if not path.is_file():
        raise DataError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
    given = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    named = {key: name for key, name in given.items() if name is not None}
    for key, name in named.items():
        first = next(k for k, n in named.items() if n == name)
        if key != first:
            raise DataError(f"{path}: the column {name!r} cannot be both {first} and {key}")
    if separator is None:
        rows = _read_parquet(path)
    else:
        rows = read_delimited(
            path,
            str(path),
            named.values(),
            separator,
            header=header,
            encoding=encoding,
            compression="gzip" if zipped else None,
            decimal=decimal,
            dtype={named[c]: str for c in COLUMNS},
            keep_default_na=False,
            na_values={
                name: [""] if key in COLUMNS else list(NO_NUMBER) for key, name in named.items()
            },
        )
    has = list(rows.columns)
    for name in named.values():
        if has.count(name) > 1:
            raise DataError(f"{path}: {has.count(name)} columns {name!r}; rename one")
        if name not in has:
            hint = f" (is {separator!r} the separator?)" if separator and len(has) == 1 else ""
            raise DataError(f"{path}: no column {name!r}; it has: {', '.join(map(str, has))}{hint}")
    rows = rows[list(named.values())].set_axis(list(named), axis=1)
    if rows.empty:
        raise DataError(f"{path}: it names its columns, and has no row")

    def refuse_if(bad: pd.Series | np.ndarray, what: str, mend: str = "") -> None:
        """Name the first row for which ``bad`` is true; ``{!r}`` stands for its entry."""
        if np.any(bad):
            row = int(np.argmax(bad))
            place = f"row {row + 1}"
            if separator is not None and (line := _line_of(path, separator, header, encoding, row)):
                place = f"line {line}"
            raise DataError(f"{path}: {what.format(column.iloc[row])} in {place}{mend}")

    for key in named:
        column = rows[key]
        refuse_if(column.isna(), f"the {key} is empty")
        called = f"the column {str(named[key]).translate(NO_BRACES)!r} ({key})"
        if key in COLUMNS:
            rows[key] = as_names(column, called, refuse_if)
        else:
            if separator and decimal == "," and key == "rating" and column.dtype.kind not in "iuf":
                dotted = column.astype(str).str.contains(".", regex=False)
                refuse_if(dotted, f"{called} has a dot where decimals follow a comma, in {{!r}}")
            rows[key] = as_numbers(column, called, refuse_if, times=key == "timestamp")
    return rows


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow (pip install pyarrow)") from error
    except Exception as error:  # pyarrow's share no base
        raise DataError(f"{path}: not a table: {' '.join(str(error).split())}") from error


def _line_of(path: Path, separator: str, header: bool, encoding: str, row: int) -> int | None:
    """Return the line of a text file that a row of its table starts in; blank lines are no rows."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding=encoding, newline="") as file:
        # A separator of several characters knows no quotes: a row is a line that is not blank.
        one = (
            {"delimiter": separator}
            if len(separator.encode()) == 1
            else {"quoting": csv.QUOTE_NONE}
        )
        reader, line, rows = csv.reader(file, **one), 1, -1 if header else 0
        try:
            for fields in reader:
                rows += len(fields) > 1 or bool("".join(fields).strip())
                if rows > row:
                    return line
                line = reader.line_num + 1
        except csv.Error:  # an entry that is longer than this reader takes
            pass
    return None
