"""The entries of a table's columns: names as text, numbers, and times in seconds."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd

__all__ = ["COLUMNS", "as_names", "as_numbers"]

COLUMNS = ("user", "item")

# Refuses a column if a mask is true somewhere: mask, what is wrong with the entry, what to do.
RefuseIf = Callable[..., None]


def _too_large(column: pd.Series) -> pd.Series:
    """Where floating-point numbers are too large for the column's type to hold every whole one."""
    kind = getattr(column.dtype, "numpy_dtype", column.dtype)
    return column.abs() >= 2 / np.finfo(kind).eps  # in float64 2^53


def as_names(column: pd.Series, called: str, refuse_if: RefuseIf) -> pd.Series:
    """Return the entries of a column without gaps as text."""
    if pd.api.types.is_float_dtype(column):
        # Infinity too; and two names may have become one number.
        broken = (column % 1 != 0) | _too_large(column)
        refuse_if(broken, f"{called} must hold names or whole numbers, got {{}}")
        column = column.map(int)
    if column.dtype == object and pd.api.types.infer_dtype(column) not in ("string", "integer"):
        kinds = (str, int, np.integer, bool, Decimal)
        unfit = column.map(lambda entry: not isinstance(entry, kinds))
        refuse_if(unfit, f"{called} must hold names or whole numbers, got {{!r}}")
    names = column.astype(str)
    # A list of names could not hold it.
    returns = names.str.contains("\r", regex=False)
    refuse_if(returns, f"{called} holds a carriage return: {{!r}}")
    return names


def as_numbers(
    column: pd.Series, called: str, refuse_if: RefuseIf, *, times: bool = False
) -> pd.Series:
    """Return finite numbers; of a column of times, dates are seconds since 1970."""
    wanted = f"{called} must hold numbers" + ", or times as 2024-05-31T18:00:00Z" * times
    if times and pd.api.types.is_datetime64_any_dtype(column):
        return _seconds(column)
    if column.dtype.kind in "bmM":  # pandas would make numbers of them
        refuse_if(np.ones(len(column), bool), f"{wanted}, got {{}}", "; leave it unnamed")
    numbers = pd.to_numeric(column, errors="coerce")
    if times and numbers.isna().any():
        dates = _seconds(column)
        refuse_if(dates.isna() & numbers.isna(), f"{wanted}, got {{!r}}")
        mixed, odd = dates.where(numbers.isna()).notna(), "times"
        if not mixed.all():
            if mixed.mean() > 0.5:
                mixed, odd = ~mixed, "numbers"
            refuse_if(mixed, f"{called} holds both numbers and times; the fewer, {odd}: {{!r}}")
        return dates
    comma = column[numbers.isna()].astype(str).str.fullmatch(r"[-+]?\d+,\d+").any()
    refuse_if(numbers.isna(), f"{wanted}, got {{!r}}", "; is it --decimal ','?" * bool(comma))
    refuse_if(~np.isfinite(numbers.astype(float)), f"{called} must be finite, got {{}}")
    if times and pd.api.types.is_float_dtype(numbers):
        words = f"{called} holds a floating-point number, {{}}, too large to tell times apart"
        refuse_if(_too_large(numbers), words, "; write whole numbers")
    return numbers


def _seconds(column: pd.Series) -> pd.Series:
    """Return seconds since 1970, NaN for what is no time."""
    times = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    start = pd.Timestamp(0, tz="UTC").as_unit("s")  # in nanoseconds a time would end in 2262
    return (times - start).dt.total_seconds()
