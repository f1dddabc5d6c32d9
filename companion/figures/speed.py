"""Figures of speed: what a way costs, and how it grows towards the machine's limit."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from companion.figures.labels import name_ends
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
    figure = Figure(figsize=(6.4, 5.4))
    if table.empty:
        figure.text(0.5, 0.5, "no record to show", ha="center", va="center")
        return figure
    panels = figure.subplots(2, 2, sharey=True).ravel()
    for axes, (varied, title) in zip(panels, _TITLES.items(), strict=True):
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
    for axes in panels[::2]:
        axes.set_ylabel("milliseconds")
        axes.yaxis.set_major_formatter("{x:g}")
    of_batch = table[table["varied"] == "batch"].sort_values("size")
    ends = []
    for name, column, shade in _LINES:
        line = of_batch.dropna(subset=[column]).tail(1)
        ends += [(name, x, 1e3 * y, shade) for x, y in zip(line["size"], line[column], strict=True)]
    name_ends(panels[1], ends, "right")
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
    figure = Figure(figsize=(6.4, 2.6))
    if not machines:
        figure.text(0.5, 0.5, "no record to show", ha="center", va="center")
        return figure
    panels = figure.subplots(1, len(machines), sharey=True, squeeze=False)[0]
    for axes, machine in zip(panels, machines, strict=True):
        rows = table[table["machine"] == machine]
        shades = [_OURS if way == "ours" else _PLAIN for way in rows["way"]]
        bars = axes.barh(rows["way"], 1e3 * rows["seconds"], color=shades)
        axes.bar_label(bars, [_three_digits(1e3 * s) for s in rows["seconds"]], padding=3)
        axes.set(title=machine, xlabel="milliseconds")
        axes.margins(x=0.2)
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", nbins=4)
    panels[0].invert_yaxis()
    return figure


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"
