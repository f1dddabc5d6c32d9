"""Figures of speed: how a cost grows, against a plain reference and the machine's limit."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from companion.figures.labels import name_ends
from companion.figures.style import NEUTRALS

__all__ = ["scaling"]

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
