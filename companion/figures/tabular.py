"""Tables of the chapters: a caption, heads with their scope, numbers under one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from companion.names import written
from companion.pages import render

__all__ = ["Tabular", "checked", "gain_table", "overview_table", "tabular", "value_table"]


@dataclass(frozen=True)
class Tabular:
    """A table as text: what a notebook shows of it, and what a terminal does.

    ``keys`` columns, from the left, name a row; ``numbers`` are the columns that stand at the
    right.  A cell is escaped, unless it is a ``Markup``.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: int = 1
    numbers: frozenset[int] = frozenset()

    def html(self, title: str = "") -> str:
        """Return the table as HTML; under a title a click on it shows the table."""
        return render("table.html", title=title, **vars(self))

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        """Lay the table out in columns, as a terminal shows it."""
        rows = [self.heads, *(tuple(map(_plain, row)) for row in self.rows)]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(
                cell.rjust(width) if place in self.numbers else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, wide, strict=True))
            ).rstrip()
            for row in rows
        )
        return "\n".join([_plain(self.caption), *lines] if self.caption else lines)


def tabular(
    frame: pd.DataFrame,
    caption: str = "",
    formats: Mapping[str, str] | None = None,
    *,
    keys: int = 1,
    missing: str = "–",
) -> Tabular:
    """Return a table that a notebook shows as HTML and a terminal as text.

    A cell or head that is the name of a loss or a metric is written as the figures write it.

    Parameters
    ----------
    frame : DataFrame
        Its columns in this order; the index is left out.
    caption : str
    formats : mapping of str to str
        Format of a column of numbers, as ``".4f"`` or ``"+.1%"``, or ``""`` of texts that are to
        stand as numbers do: at the right, under one another.
    keys : int
        Columns, from the left, that name a row.
    missing : str
        What stands for a number that is not there.
    """
    formats = formats or {}
    columns = [
        [_text(value, formats.get(str(name), ""), missing) for value in frame[name]]
        for name in frame
    ]
    numbers = frozenset(
        place
        for place, name in enumerate(frame)
        if name in formats or pd.api.types.is_numeric_dtype(frame[name])
    )
    rows = tuple(zip(*columns, strict=True)) if len(frame) else ()
    heads = tuple(map(written, map(str, frame)))
    return Tabular(caption, heads, rows, keys, numbers - {*range(keys)})


def _plain(cell: str) -> str:
    return cell.striptags() if isinstance(cell, Markup) else cell


def _text(value: Any, form: str, missing: str) -> str:
    if isinstance(value, str):
        return written(value)
    return missing if pd.isna(value) else format(value, form)


def checked(gaps: Mapping[str, tuple[float, float]], caption: str = "") -> Tabular:
    """Refuse a gap that is too large, and show what was checked and how closely.

    The bound is shown and not the gap: rounding differs between machines.

    Parameters
    ----------
    gaps : mapping of str to (float, float)
        By what is checked: the largest gap found, and what it must stay below.
    caption : str

    Raises
    ------
    AssertionError
        If a gap is not below its bound; NaN is not.
    """
    for what, (gap, bound) in gaps.items():
        if not gap < bound:
            raise AssertionError(f"{what}: {gap:g} is not below {bound:g}")
    heads = ["what is checked", "largest gap below"]
    rows = [(what, f"{bound:g}") for what, (_, bound) in gaps.items()]
    return tabular(pd.DataFrame(rows, columns=heads), caption, {heads[1]: ""})


def value_table(table: pd.DataFrame, caption: str) -> Tabular:
    """Show values beside what is printed: rows of :func:`companion.tables.overview`."""
    off = table["ours"] / table["paper"] - 1
    half = table["high"] - table["ours"]
    named = {"ours": table["ours"], "±": half, "seeds": table["seeds"], "printed": table["paper"]}
    keys = _keys(table)
    frame = keys.assign(**named, off=off)
    if half.isna().all():
        del frame["±"]
    formats = {"ours": ".4f", "±": ".4f", "printed": ".4f", "off": "+.1%"}
    return tabular(frame, caption, formats, keys=keys.shape[1])


def overview_table(table: pd.DataFrame, command: str) -> Tabular:
    """Show the values of one dataset that were run; the caption has the command for the others."""
    (dataset,) = table["dataset"].unique()
    waiting = table.loc[table["seeds"] == 0, "command"].nunique()
    missing = Markup("; {} cell{} not yet run: <code>psl run {} --dataset {}</code>")
    told = missing.format(waiting, "s" * (waiting > 1), command, dataset)
    caption = Markup(dataset) + (told if waiting else "")
    return value_table(table[table["seeds"] > 0], caption)


def gain_table(table: pd.DataFrame, caption: str, *, p: str | None = None) -> Tabular:
    """Show gains beside the printed ones: rows of :func:`companion.tables.gains`.

    ``p`` names the column of the p-values, if they are to be shown; so is then the correlation.
    """
    keys = _keys(table)
    frame = keys.assign(gain=table["ours"])
    ends = zip(table["low"], table["high"], strict=True)
    frame["95 %"] = [f"{low:+.1%} to {high:+.1%}" if low == low else "–" for low, high in ends]
    if table["low"].isna().all():
        del frame["95 %"]
    frame["seeds"] = table["seeds"]
    if p is not None:
        frame = frame.assign(r=table["r"], **{"p-value": table[p]})
    frame["printed"] = table["paper"]
    formats = {"gain": "+.1%", "95 %": "", "r": "+.2f", "p-value": ".3f", "printed": "+.1%"}
    return tabular(frame, caption, formats, keys=keys.shape[1])


def _keys(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that tell the rows apart."""
    told = {"loss": "loss", "setting": "setting", "form": "form", "noise_ratio": "noise ratio"}
    differ = [axis for axis in told if axis in table and table[axis].nunique(dropna=False) > 1]
    return table[list(dict.fromkeys(["loss", *differ, "metric"]))].rename(columns=told)
