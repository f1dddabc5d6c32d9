"""Figures of speed: how a cost grows, against a plain reference and the machine's limit."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from psl.figures.style import COLOURS, name_ends

__all__ = ["scaling"]

_TITLES = {
    "negatives": "negatives N",
    "batch": "batch B",
    "dim": "dimension d",
    "items": "catalogue |I|",
}
_PLAIN, _OURS, _LIMIT = COLOURS["bpr"], COLOURS["psl-relu"], COLOURS["sl"]


def scaling(table: pd.DataFrame) -> Figure:
    """Draw seconds over each size that was varied, both axes logarithmic, four panels.

    Parameters
    ----------
    table : DataFrame
        Columns ``varied`` (negatives, batch, dim or items), ``size``, ``ours_seconds``,
        ``plain_seconds`` (NaN where not measured) and ``limit_seconds``, the time in which the
        machine could do the arithmetic alone.
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
    for axes in panels[::2]:
        axes.set_ylabel("milliseconds")
        axes.yaxis.set_major_formatter("{x:g}")
    last = table[table["varied"] == "batch"].sort_values("size").iloc[-1]
    plain = table[table["varied"] == "batch"]["plain_seconds"].max()
    heights = (("plain", plain, _PLAIN), ("ours", last["ours_seconds"], _OURS))
    ends = [*heights, ("arithmetic\nalone", last["limit_seconds"], _LIMIT)]
    name_ends(panels[1], [(n, last["size"], 1e3 * y, shade) for n, y, shade in ends], "right")
    return figure
