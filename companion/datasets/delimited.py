"""Delimited text to a table, strictly: no column is shifted, taken twice or cut off."""

from __future__ import annotations

import csv
import gzip
import io
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import pandas as pd
from pandas.errors import ParserWarning

from psl.errors import DataError

__all__ = ["read_delimited"]

MARK = "\x1f"  # the unit separator of ASCII


def read_delimited(
    source: Path | IO[Any],
    where: str,
    wanted: Iterable[str],
    separator: str,
    *,
    header: bool = True,
    encoding: str = "utf-8",
    **options: Any,
) -> pd.DataFrame:
    """Read text of which some columns are wanted; the others come along.

    Parameters
    ----------
    source : path or file of bytes, that can be read twice
    where : str
        The file, for errors.
    wanted : iterable of str
        Columns that may not stand twice.
    separator : str
        One of several characters knows no quotes.
    header : bool
        Whether the first line names the columns; if not, they are called by their place from "1".
    encoding : str
    **options
        Of :func:`pandas.read_csv`.

    Raises
    ------
    DataError
        If it is no such text, a row is longer than the first line, or a wanted column stands twice.
    """
    form: dict[str, Any] = {
        "sep": separator,
        "engine": "c",
        "index_col": False,  # or a header that is too short would shift every column by one
        "encoding": encoding,
        "compression": options.pop("compression", None),
    }
    try:
        if len(separator.encode()) > 1:
            # The other engine of pandas, which knows these, strips blanks off each line.
            source = _with_mark(source, separator, encoding, form.pop("compression"))
            form |= {"sep": MARK, "quoting": csv.QUOTE_NONE}
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)  # rows that are longer than the header
            text: dict[str, Any] = {
                "header": None,
                "nrows": 1,
                "dtype": str,
                "keep_default_na": False,
            }
            first = pd.read_csv(source, **form, **text).iloc[0].tolist()
            if not isinstance(source, Path):
                source.seek(0)
            if not header:
                first = [str(k + 1) for k in range(len(first))]
                form |= {"header": None, "names": first}
            for name in wanted:
                if first.count(name) > 1:
                    raise DataError(f"{where}: {first.count(name)} columns {name!r}; rename one")
            if any("\0" in str(name) for name in first):
                raise DataError(f"{where}: not text in {encoding}; try --encoding utf-16-le")
            table = pd.read_csv(source, **form, **options)
            # As they stand: pandas would call the second of two columns x "x.1".
            table.columns = pd.Index(first)
            return table
    except UnicodeError as error:
        utf16 = getattr(error, "object", b"")[:2] in (b"\xff\xfe", b"\xfe\xff")
        remedy = "utf-16" if utf16 else "latin-1 or cp1252, as programs of Windows write"
        hint = f"; try `psl data split --encoding` {remedy}" if encoding == "utf-8" else ""
        raise DataError(f"{where}: not a table in {encoding} ({error}){hint}") from error
    except LookupError as error:
        raise DataError(f"{where}: cannot be read: {error}") from error
    except (ValueError, OSError, EOFError, zlib.error, ParserWarning) as error:
        raise DataError(f"{where}: not a table: {' '.join(str(error).split())}") from error


def _with_mark(source: Any, separator: str, encoding: str, compression: str | None) -> io.StringIO:
    """Return the text with one character in place of the separator."""
    opened = gzip.open if compression else open
    with opened(source, "rt", encoding=encoding, newline="") as file:
        text = file.read()
    if MARK in text:
        raise ValueError("the control character 0x1f is in it")
    return io.StringIO(text.replace(separator, MARK), newline="")
