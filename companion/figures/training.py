"""Figures of data and training: popularity, learning curves, moving scalars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from companion.figures.labels import label_ends, name_ends
from companion.figures.panels import is_narrow, one_panel, panels
from companion.figures.source import keeps_data
from companion.figures.style import colour_of, line_of, looks

__all__ = ["learning_curves", "popularity", "scalars"]


@keeps_data
def popularity(curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw which part of the interactions the most popular items hold.

    Parameters
    ----------
    curves : mapping of str to ndarray, shape (items,)
        For each set (train, test) the interactions of every item, all in the order of train's
        popularity, the most popular first.
    """
    figure, axes = one_panel("share of items, most popular first", "share of interactions")
    ends = []
    for (name, counts), (colour, style) in zip(curves.items(), looks(), strict=False):
        share = np.concatenate([[0.0], np.cumsum(counts) / max(counts.sum(), 1)])
        place = np.linspace(0, 1, len(share))
        axes.plot(place, share, color=colour, linestyle=style)
        middle = len(share) // 4
        ends.append((name, float(place[middle]), float(share[middle]), colour))
    for name, x, y, colour in ends:
        axes.annotate(name, (x, y), (6, -10), textcoords="offset points", color=colour)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return figure


@keeps_data
def learning_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw validation NDCG@20 over epochs.

    Parameters
    ----------
    curves : mapping of str to sequence of mapping
        By loss name: points with the keys ``"epoch"`` and ``"ndcg@20"``, and where several seeds
        stand behind a point, ``"low"`` and ``"high"``, drawn as a band.
    """
    figure, axes = one_panel("epoch", "validation NDCG@20")
    ends = []
    for name, points in curves.items():
        x = [float(point["epoch"]) for point in points]
        y = [float(point["ndcg@20"]) for point in points]
        if x:
            axes.plot(x, y, **line_of(name))
            ends.append((name, x[-1], y[-1]))
        if points and "low" in points[0]:
            low, high = ([float(p[k]) for p in points] for k in ("low", "high"))
            axes.fill_between(x, low, high, color=colour_of(name), alpha=0.15, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    label_ends(axes, ends)
    return figure


@keeps_data
def scalars(paths: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how a few scalars move, one panel for each rule.

    Parameters
    ----------
    paths : mapping of str to DataFrame
        By the panel's title: a row for each step, a column for each scalar.
    """
    figure, every = panels(len(paths), 2.6 if is_narrow() else 3.2)
    for axes, (title, table) in zip(every, paths.items(), strict=True):
        ends = []
        for (shade, style), name in zip(looks(), table, strict=False):
            axes.plot(table.index, table[name], color=shade, linestyle=style)
            ends.append((str(name), float(table.index[-1]), float(table[name].iloc[-1]), shade))
        axes.set(title=title, xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        name_ends(axes, ends, "right")
    return figure
