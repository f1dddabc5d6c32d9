"""Figures of results: printed numbers dashed, ours solid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.figures.labels import label_ends
from companion.figures.panels import is_leftmost, is_narrow, panels
from companion.figures.source import keeps_data
from companion.figures.style import colour_of, line_of
from companion.names import LABELS, metric_name

__all__ = ["by_seed", "compare", "differences", "over"]


@keeps_data
def compare(table: pd.DataFrame) -> Figure:
    """Draw the printed value (dashed) beside ours (solid), one panel a metric.

    Parameters
    ----------
    table : DataFrame
        Columns ``loss``, ``metric``, ``paper``, ``ours``, and where several seeds stand behind a
        row, ``low`` and ``high``, the interval of their mean; several rows of one loss and metric
        are drawn on one line.
    """
    if not {"low", "high"} <= set(table.columns):
        table = table.assign(low=math.nan, high=math.nan)
    losses = list(dict.fromkeys(table["loss"]))
    metrics = list(dict.fromkeys(table["metric"]))
    narrow = is_narrow()
    high = (0.9 + 0.3 * len(losses)) if narrow else 1.6 + 0.42 * max(len(losses), 1)
    figure, every = panels(len(metrics), high, sharey=True)
    if not every:
        return figure
    for axes, metric in zip(every, metrics, strict=True):
        rows = table[table["metric"] == metric]
        at = [losses.index(loss) for loss in rows["loss"]]
        axes.hlines(at, rows["paper"], rows["ours"], color="#bbbbbb", linewidth=1)
        for y, row in zip(at, rows.itertuples(), strict=True):
            _draw_result(axes, y, row)
        axes.set_title(metric_name(metric))
        axes.set_yticks(range(len(losses)), [LABELS.get(loss, loss) for loss in losses])
        axes.set_ylim(len(losses) - 0.4, -0.6)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=4)
    bars = "bar: 95 % interval;" if table["low"].notna().any() else ""
    marks = ["solid mark: ours;", bars, "\n" * narrow + "dashed line: printed value"]
    figure.supxlabel(
        "  ".join(filter(None, marks)).replace("  \n", "\n"),
        fontsize=mpl.rcParams["xtick.labelsize"],
    )
    return figure


def _draw_result(axes: Axes, y: int, row: Any, half: float = 0.36) -> None:
    """Draw one row: a mark for ours, a bar for its interval if there is one, a dash for print."""
    shade = colour_of(row.loss)
    if math.isfinite(row.low):
        axes.hlines(y, row.low, row.high, color=shade, linewidth=4, alpha=0.3)
    axes.plot([row.ours], [y], "o", color=shade)
    axes.vlines(row.paper, y - half, y + half, color=shade, linestyle=(0, (2, 1.2)))


@keeps_data
def differences(table: pd.DataFrame, xlabel: str) -> Figure:
    """Draw a difference for each row with its interval, and the printed value dashed.

    Parameters
    ----------
    table : DataFrame
        Columns ``label``, ``loss`` (decides the colour), ``ours``, ``low``, ``high``, and
        ``paper`` (may be missing, NaN).  Rows are drawn from the top; one without any number is
        the heading of those below it.
    xlabel : str
    """
    headings = table[["ours", "paper"]].isna().all(axis=1)
    narrow = is_narrow()
    above = narrow and table["label"].str.len().max() > 14
    figure, (axes,) = panels(1, 1.2 + (0.43 if above else 0.29) * max(len(table), 1))
    if not above:
        axes.axvline(0, color="#bbbbbb", linewidth=1)
    for y, (row, heading) in enumerate(zip(table.itertuples(), headings, strict=True)):
        if above and not heading:  # a whole line at zero, or the grid, would cross the names
            axes.vlines(0, y - 0.26, y + 0.26, color="#bbbbbb", linewidth=1)
        _draw_result(axes, y, row, half=0.2 if above else 0.36)
    axes.set_yticks(range(len(table)), [""] * len(table) if above else list(table["label"]))
    names = axes.get_yticklabels()
    if above:  # each name above its mark, for beside it there would be no room for the axis
        names = [
            axes.text(0.01, y - 0.48, label, transform=axes.get_yaxis_transform(), va="center")
            for y, label in enumerate(table["label"])
        ]
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False)
    for name, heading in zip(names, headings, strict=True):
        name.set_fontweight("bold" if heading else "normal")
    axes.set_ylim(len(table) - 0.4, -0.9 if above else -0.6)
    axes.set_xlabel("\n".join(wrap(xlabel, 40)) if narrow else xlabel)
    return figure


@keeps_data
def by_seed(table: pd.DataFrame) -> Figure:
    """Draw every run, one panel a metric: a column for each loss, a grey line for each seed.

    Where the grey lines are parallel, a seed moves two losses alike, and pairing helps.

    Parameters
    ----------
    table : DataFrame
        Columns ``loss``, ``metric``, ``seed`` and ``value``, a row for each run and metric; the
        losses stand from the left in the order of the rows.
    """
    metrics = list(dict.fromkeys(table["metric"]))
    figure, every = panels(len(metrics), 2.4 if is_narrow() else 3.4)
    losses = list(dict.fromkeys(table["loss"]))
    shades = {loss: colour_of(loss) for loss in losses}
    for axes, metric in zip(every, metrics, strict=True):
        rows = table[table["metric"] == metric]
        rows = rows.assign(loss=pd.Categorical(rows["loss"], losses, ordered=True))
        shared = {"data": rows, "x": "loss", "y": "value", "ax": axes, "legend": False}
        sns.lineplot(**shared, units="seed", estimator=None, color="#bbbbbb", linewidth=1, zorder=1)
        sns.stripplot(**shared, hue="loss", palette=shades, jitter=False, size=6)
        axes.set(title=metric_name(metric), xlabel="", ylabel="")
        names = [LABELS.get(loss, loss) for loss in losses]
        axes.set_xticks(range(len(losses)), names, rotation=35, ha="right")
        axes.margins(x=0.12)
    return figure


@keeps_data
def over(
    table: pd.DataFrame,
    varied: str,
    xlabel: str,
    *,
    log: bool = False,
    ticks: Mapping[float, str] | None = None,
    ylim: tuple[float, float] | None = None,
    ylabel: str = "",
) -> Figure:
    """Draw metrics over what was varied, one panel each: ours solid with its band, print dashed.

    Parameters
    ----------
    table : DataFrame
        Columns ``loss``, ``metric``, the one named ``varied``, ``ours``, ``low``, ``high`` and
        ``paper``; what is missing is NaN and left out.
    varied, xlabel, ylabel : str
    log : bool
        Of the horizontal axis.
    ticks : mapping of float to str, optional
        Places on the horizontal axis and what is written there; all are shown.
    ylim : (float, float), optional
        Of every panel; names are placed within it.
    """
    metrics = list(dict.fromkeys(table["metric"]))
    figure, every = panels(len(metrics), 2.8 if is_narrow() else 3.6)
    if not every:
        return figure
    for axes, metric in zip(every, metrics, strict=True):
        ends = []
        for loss, rows in table[table["metric"] == metric].groupby("loss", sort=False):
            end = _over_one(axes, str(loss), rows.sort_values(varied), varied)
            ends += [end] if end else []
        axes.set(title=metric_name(metric), xscale="log" if log else "linear")
        if ylim:
            axes.set_ylim(ylim)
        if ticks:
            axes.set_xticks(list(ticks), list(ticks.values()))
            axes.minorticks_off()
        if axes is every[-1] or is_narrow():
            label_ends(axes, ends)
        if is_leftmost(axes):
            axes.set_ylabel(ylabel)
    figure.supxlabel(xlabel, fontsize="medium")
    if ticks:
        _stagger(figure)
    return figure


def _stagger(figure: Figure) -> None:
    """Write what would touch its left neighbour on the horizontal axis one line lower."""
    figure.draw_without_rendering()  # texts have a width from here on
    every = zip(*(axes.get_xticklabels() for axes in figure.axes), strict=True)
    names, ends = [], [-math.inf] * len(figure.axes)
    for labels in every:
        boxes = [label.get_window_extent() for label in labels]
        lower = any(box.x0 < end + 4 for box, end in zip(boxes, ends, strict=True))
        if not lower:
            ends = [box.x1 for box in boxes]
        names.append("\n" * lower + labels[0].get_text())
    for axes in figure.axes:
        axes.set_xticks(axes.get_xticks(), names)


def _over_one(
    axes: Axes, loss: str, rows: pd.DataFrame, varied: str
) -> tuple[str, float, float] | None:
    """Draw one loss; return where the longer of its lines ends, ours if both reach as far."""
    shade, seen = colour_of(loss), rows.dropna(subset=["ours"])
    printed = rows.dropna(subset=["paper"])
    axes.plot(printed[varied], printed["paper"], "--", color=shade, linewidth=1)
    axes.plot(seen[varied], seen["ours"], marker="o", markersize=3.5, **line_of(loss))
    band = (seen[varied], seen["low"], seen["high"])
    axes.fill_between(*band, color=shade, alpha=0.18, linewidth=0)
    ends = [
        (float(line[varied].iloc[-1]), number, float(line[column].iloc[-1]))
        for number, (column, line) in enumerate((("paper", printed), ("ours", seen)))
        if len(line)
    ]
    if not ends:
        return None
    place, _, value = max(ends)
    return loss, place, value
