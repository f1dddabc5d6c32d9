"""What searches of a given length find, a small panel for each loss."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from companion.figures.panels import panels
from companion.figures.source import keeps_data
from companion.figures.style import colour_of, line_of
from companion.names import LABELS

__all__ = ["searched"]


@keeps_data
def searched(table: pd.DataFrame, over: str = "sl") -> Figure:
    """Draw what the best of so many trials has, a panel for each loss, another loss behind each.

    Parameters
    ----------
    table : DataFrame
        Columns ``loss``, ``trials``, ``mean``, ``low`` and ``high``; the panels stand in the order
        of the rows.
    over : str
        The loss that stands, thin, in each panel.
    """
    losses = list(dict.fromkeys(table["loss"]))
    figure, every = panels(len(losses), 1.45, on_a_phone=2, sharex=True, sharey=True)
    if not losses:
        return figure
    base = table[table["loss"] == over]
    # From the lowest mean on: a band of few trials reaches down to nothing, and tells nothing.
    low, high = table["mean"].min(), table["high"].max()
    for axes, loss in zip(every, losses, strict=True):
        mine = table[table["loss"] == loss]
        if loss != over:
            axes.plot(base["trials"], base["mean"], color=colour_of(over), linewidth=0.8)
        shade = colour_of(loss)
        axes.fill_between(mine["trials"], mine["low"], mine["high"], color=shade, alpha=0.18, lw=0)
        axes.plot(mine["trials"], mine["mean"], **line_of(loss) | {"linewidth": 1.8})
        axes.set_title(LABELS.get(loss, loss), color=shade, fontsize=10, loc="left")
        axes.locator_params(axis="x", nbins=4, integer=True)
        axes.locator_params(axis="y", nbins=4)
        axes.set_ylim(low - 0.02 * (high - low), high + 0.05 * (high - low))
    figure.supxlabel("trials", fontsize=10)
    figure.supylabel("best validation NDCG@20", fontsize=10)
    return figure
