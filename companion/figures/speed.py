"""Figures of speed: what a way costs, and how it grows towards the machine's limit."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from companion.figures.labels import name_ends
from companion.figures.panels import is_leftmost, is_narrow, panels
from companion.figures.source import keeps_data
from companion.figures.style import NEUTRALS

__all__ = ["scaling", "ways"]

_TITLES = {
    "negatives": "negatives N",
    "batch": "batch B",
    "dim": "dimension d",
    "items": "catalogue |I|",
}
_OURS, _PLAIN, _LIMIT = NEUTRALS[:3]
_LINES = (
    ("gather,\nplain torch", "plain_seconds", _PLAIN),
    ("ours", "ours_seconds", _OURS),
    ("arithmetic\nalone", "limit_seconds", _LIMIT),
)


@keeps_data
def scaling(table: pd.DataFrame) -> Figure:
    """Draw seconds over each size that was varied, both axes logarithmic, four panels.

    Parameters
    ----------
    table : DataFrame
        Columns ``varied`` (negatives, batch, dim or items), ``size``, ``ours_seconds``,
        ``plain_seconds``, the plain path *gather* (NaN where not measured), and
        ``limit_seconds``, the time in which the machine could do the arithmetic alone.
    """
    figure, every = panels(0 if table.empty else len(_TITLES), 2.7, columns=2, sharey=True)
    if not every:
        return figure
    for axes, (varied, title) in zip(every, _TITLES.items(), strict=True):
        rows = table[table["varied"] == varied].sort_values("size")
        plain = rows.dropna(subset=["plain_seconds"])
        axes.plot(plain["size"], 1e3 * plain["plain_seconds"], "s:", color=_PLAIN, markersize=3.5)
        axes.plot(rows["size"], 1e3 * rows["ours_seconds"], "o-", color=_OURS, markersize=3.5)
        axes.plot(rows["size"], 1e3 * rows["limit_seconds"], "--", color=_LIMIT, linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel=title)
        axes.xaxis.set_minor_formatter(NullFormatter())
        if rows["size"].max() < 1000 * rows["size"].min():  # too few powers of ten
            axes.set_xticks(sizes := list(rows["size"][::2]), sizes)
            axes.minorticks_off()
        if is_leftmost(axes):
            axes.set_ylabel("milliseconds")
        axes.yaxis.set_major_formatter("{x:g}")
    of_batch = table[table["varied"] == "batch"].sort_values("size")
    ends = []
    for name, column, shade in _LINES:
        line = of_batch.dropna(subset=[column]).tail(1)
        ends += [(name, x, 1e3 * y, shade) for x, y in zip(line["size"], line[column], strict=True)]
    name_ends(every[1], ends, "right")
    return figure


@keeps_data
def ways(table: pd.DataFrame) -> Figure:
    """Draw what each way to one result takes, a bar each with its milliseconds, a panel a machine.

    Parameters
    ----------
    table : DataFrame
        Columns ``machine``, ``way`` and ``seconds``; the ways stand from the top in the order of
        the rows, and the one called *ours* has its colour.
    """
    machines = list(dict.fromkeys(table["machine"]))
    figure, every = panels(len(machines), 2.6, sharey=True)
    for axes, machine in zip(every, machines, strict=True):
        rows = table[table["machine"] == machine]
        shades = [_OURS if way == "ours" else _PLAIN for way in rows["way"]]
        bars = axes.barh(rows["way"], 1e3 * rows["seconds"], color=shades)
        axes.bar_label(bars, [_three_digits(1e3 * s) for s in rows["seconds"]], padding=3)
        title = machine if is_narrow() else ",\n".join(machine.rsplit(", ", 1))
        axes.set(title=title, xlabel="milliseconds")
        axes.margins(x=0.2)
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", nbins=3)
    if every:
        every[0].invert_yaxis()
    return figure


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"
