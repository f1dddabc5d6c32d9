"""Figures of the book: tables and arrays in, a matplotlib figure out.  Drawing never computes.

Nothing here trains, evaluates or derives; the caller displays or saves the figure it gets.  Lines
carry their names at their ends, so no figure needs colour alone to be read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = [
    "COLOURS",
    "LABELS",
    "activations",
    "compare",
    "gaps",
    "learning_curves",
    "lines",
    "popularity",
    "scalars",
    "slack",
    "temperatures",
    "tilts",
    "use_style",
    "weights",
]

# Each has a contrast of at least 4.5 with white, so that a label can wear the colour of its line.
COLOURS: dict[str, str] = {
    "bpr": "#6b6b6b",
    "sl": "#1a1a1a",
    "psl-tanh": "#946200",
    "psl-atan": "#00755a",
    "psl-relu": "#c0390a",
    "psl-softplus": "#a8417f",
    "llpauc": "#0b6e91",
    "advinfonce": "#2456b4",
    "bsl": "#7446b0",
    "sl@20": "#54632a",
}

LABELS: dict[str, str] = {
    "bpr": "BPR",
    "sl": "SL",
    "psl-tanh": "PSL-tanh",
    "psl-atan": "PSL-atan",
    "psl-relu": "PSL-relu",
    "psl-softplus": "PSL-softplus",
    "llpauc": "LLPAUC",
    "advinfonce": "AdvInfoNCE",
    "bsl": "BSL",
    "sl@20": "SL@20",
    "step": "step",
}

_STYLES = {"psl-tanh": "-.", "psl-atan": (0, (6, 1.5)), "psl-softplus": (0, (4, 1, 1, 1, 1, 1))}
_METRICS = {"ndcg": "NDCG", "recall": "Recall", "mrr": "MRR"}


def use_style() -> None:
    """Apply the style of the book; inside a notebook, draw figures as SVG without a date."""
    with as_file(files("psl") / "figures.mplstyle") as path:
        matplotlib.style.use(path)
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


def activations(d: np.ndarray, curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw surrogate activations over the score difference.

    Parameters
    ----------
    d : ndarray, shape (D,)
        Score differences, ascending.
    curves : mapping of str to ndarray, shape (D,)
        Values by loss name; the name ``"step"`` is the function they bound.
    """
    return _over_difference(d, curves, "activation σ(d)")


def weights(d: np.ndarray, curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw the weight that each loss gives to a pair; arguments as :func:`activations`."""
    return _over_difference(d, curves, "normalised gradient weight")


def learning_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw validation NDCG@20 over epochs.

    Parameters
    ----------
    curves : mapping of str to sequence of mapping
        By loss name: points with the keys ``"epoch"`` and ``"ndcg@20"``.
    """
    figure, axes = _one_panel("epoch", "validation NDCG@20")
    ends = []
    for name, points in curves.items():
        x = [float(point["epoch"]) for point in points]
        y = [float(point["ndcg@20"]) for point in points]
        if x:
            axes.plot(x, y, color=_colour(name), linestyle=_STYLES.get(name, "-"))
            ends.append((name, x[-1], y[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    _label_ends(axes, ends)
    return figure


def compare(table: pd.DataFrame) -> Figure:
    """Draw the paper's value (dashed, hollow) beside ours (solid), one panel a metric.

    Parameters
    ----------
    table : DataFrame
        Columns ``loss``, ``metric``, ``paper``, ``ours``; several rows of one loss and metric,
        e.g. seeds, are drawn on one line.
    """
    losses = list(dict.fromkeys(table["loss"]))
    metrics = list(dict.fromkeys(table["metric"]))
    figure = Figure(figsize=(6.4, 1.6 + 0.42 * max(len(losses), 1)))
    if not metrics:
        figure.text(0.5, 0.5, "no record to show", ha="center", va="center")
        return figure
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        rows = table[table["metric"] == metric]
        at = [losses.index(loss) for loss in rows["loss"]]
        colours = [_colour(loss) for loss in rows["loss"]]
        axes.hlines(at, rows["paper"], rows["ours"], color="#bbbbbb", linewidth=1)
        for y, colour, paper, ours in zip(at, colours, rows["paper"], rows["ours"], strict=True):
            axes.vlines(paper, y - 0.34, y + 0.34, color=colour, linestyle=(0, (2, 1.2)))
            axes.plot([ours], [y], "o", color=colour)
        axes.set_title(_metric(metric))
        axes.set_yticks(range(len(losses)), [LABELS.get(loss, loss) for loss in losses])
        axes.set_ylim(len(losses) - 0.4, -0.6)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=4)
    figure.supxlabel("solid mark: ours;  dashed line: the paper's value", fontsize=10)
    return figure


def slack(
    tau: np.ndarray, curves: Mapping[str, np.ndarray], ylabel: str = "mean slack, nats"
) -> Figure:
    """Draw how far each surrogate lies above the metric, over the temperature (both axes log).

    Parameters
    ----------
    tau : ndarray, shape (T,)
        Temperatures, ascending.
    curves : mapping of str to ndarray, shape (T,)
        Slack by loss name, positive.
    ylabel : str
    """
    figure, axes = _one_panel("temperature τ", ylabel)
    axes.set(xscale="log", yscale="log")
    for name, y in curves.items():
        axes.plot(tau, y, color=_colour(name), linestyle=_STYLES.get(name, "-"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    # All slacks meet at large temperatures: the names stand at the left.
    _label_ends(axes, [(name, tau[0], y[0]) for name, y in curves.items()], side="left")
    return figure


def temperatures(
    eta: np.ndarray,
    tau: np.ndarray,
    saturation: np.ndarray,
    labels: Sequence[str],
    xlabel: str = "radius η, nats",
) -> Figure:
    """Draw the optimal multiplier over the radius, one line a (user, positive) pair.

    Parameters
    ----------
    eta : ndarray, shape (E,)
        Radii, ascending.
    tau : ndarray, shape (pairs, E)
        Multipliers; values that are not positive are left out.
    saturation : ndarray, shape (pairs,)
        The radius at which each multiplier reaches zero, marked on the axis.
    labels : sequence of str
    xlabel : str
    """
    figure, axes = _one_panel(xlabel, "optimal multiplier τ*")
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    colours = ["#1a1a1a", "#c0390a", "#00755a", "#2456b4", "#946200", "#a8417f"]
    starts = []
    for k, (line, label) in enumerate(zip(tau, labels, strict=True)):
        colour = colours[k % len(colours)]
        seen = line > 0
        axes.plot(eta[seen], line[seen], color=colour)
        axes.axvline(saturation[k], color=colour, linewidth=1, linestyle=(0, (1, 2)))
        starts.append((label, eta[seen][0], line[seen][0], colour))
    _place(axes, starts, side="left")
    return figure


def gaps(eta: np.ndarray, routes: Mapping[str, np.ndarray], bounds: Mapping[str, float]) -> Figure:
    """Draw how far two solutions of the same problem lie apart, on logarithmic axes.

    Parameters
    ----------
    eta : ndarray, shape (K,)
        Radius of each instance, in nats.
    routes : mapping of str to ndarray, shape (K,)
        Relative gap of each comparison; values below 1e-17 are drawn there.
    bounds : mapping of str to float
        The gap that each comparison has to stay below; drawn dashed.
    """
    figure, axes = _one_panel("radius η, nats", "gap, relative to the range of l")
    ends = []
    for (name, gap), colour, marker in zip(
        routes.items(), ("#1a1a1a", "#2456b4"), ("o", "^"), strict=False
    ):
        axes.plot(eta, gap.clip(min=1e-17), marker, color=colour, markersize=2.5, alpha=0.6)
        axes.axhline(bounds[name], color=colour, linestyle="--", linewidth=1)
        ends.append((name, float(eta.max()), bounds[name], colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    _place(axes, ends, "right")
    return figure


def tilts(losses: np.ndarray, ratios: Mapping[str, np.ndarray]) -> Figure:
    """Draw worst-case weights relative to the uniform ones, over the item's loss.

    Parameters
    ----------
    losses : ndarray, shape (I,)
        Item losses, ascending.
    ratios : mapping of str to ndarray, shape (I,)
        ``q / p`` by the name of the divergence.
    """
    figure, axes = _one_panel("loss l of an item", "worst-case weight, uniform = 1")
    ends = []
    styles = ("-", "--", "-.", ":")
    colours = ("#c0390a", "#2456b4", "#00755a", "#7446b0")
    for (name, ratio), style, colour in zip(ratios.items(), styles, colours, strict=False):
        axes.plot(losses, ratio, linestyle=style, color=colour)
        ends.append((name, float(losses[-1]), float(ratio[-1]), colour))
    axes.set_yscale("symlog", linthresh=1)
    _place(axes, ends, "right")
    return figure


def popularity(curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw which part of the interactions the most popular items hold.

    Parameters
    ----------
    curves : mapping of str to ndarray, shape (items,)
        For each set (train, test) the interactions of every item, all in the order of train's
        popularity, the most popular first.
    """
    figure, axes = _one_panel("share of items, most popular first", "share of interactions")
    ends = []
    for (name, counts), style in zip(curves.items(), ("-", "--", "-."), strict=False):
        share = np.concatenate([[0.0], np.cumsum(counts) / max(counts.sum(), 1)])
        place = np.linspace(0, 1, len(share))
        axes.plot(place, share, color=COLOURS["sl"], linestyle=style)
        middle = len(share) // 4
        ends.append((name, float(place[middle]), float(share[middle]), COLOURS["sl"]))
    for name, x, y, colour in ends:
        axes.annotate(name, (x, y), (6, -10), textcoords="offset points", color=colour)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return figure


def lines(x: np.ndarray, curves: Mapping[str, np.ndarray], xlabel: str, ylabel: str) -> Figure:
    """Draw a family of curves over one axis, each with its name at its end.

    Parameters
    ----------
    x : ndarray, shape (n,)
    curves : mapping of str to ndarray, shape (n,)
    xlabel, ylabel : str
    """
    figure, axes = _one_panel(xlabel, ylabel)
    for (_, y), style in zip(curves.items(), (":", "--", "-", "-."), strict=False):
        axes.plot(x, y, color=COLOURS["sl"], linestyle=style)
    _place(axes, [(n, x[-1], y[-1], COLOURS["sl"]) for n, y in curves.items()], "right")
    return figure


def scalars(paths: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how a few scalars move, one panel for each rule.

    Parameters
    ----------
    paths : mapping of str to DataFrame
        By the panel's title: a row for each step, a column for each scalar.
    """
    figure = Figure(figsize=(6.4, 3.2))
    panels = figure.subplots(1, len(paths), squeeze=False)[0]
    shades = ("#1a1a1a", "#c0390a", "#00755a", "#2456b4", "#7446b0", "#946200", "#6b6b6b")
    for axes, (title, table) in zip(panels, paths.items(), strict=True):
        ends = []
        for shade, name in zip(shades, table, strict=False):
            axes.plot(table.index, table[name], color=shade)
            ends.append((str(name), float(table.index[-1]), float(table[name].iloc[-1]), shade))
        axes.set(title=title, xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        _place(axes, ends, "right")
    return figure


def _colour(name: str) -> str:
    return COLOURS.get(name, "#444444")


def _metric(name: str) -> str:
    head, _, cut = name.partition("@")
    return _METRICS.get(head, head) + (f"@{cut}" if cut else "")


def _one_panel(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def _over_difference(d: np.ndarray, curves: Mapping[str, np.ndarray], ylabel: str) -> Figure:
    figure, axes = _one_panel("score difference d = f(u, j) − f(u, i)", ylabel)
    for name, y in curves.items():
        style = ":" if name == "step" else _STYLES.get(name, "-")
        axes.plot(d, y, color=_colour(name), linestyle=style)
    _label_ends(axes, [(name, d[-1], y[-1]) for name, y in curves.items()])
    return figure


def _label_ends(axes: Axes, ends: Sequence[tuple[str, float, float]], side: str = "right") -> None:
    _place(axes, [(LABELS.get(n, n), x, y, _colour(n)) for n, x, y in ends], side)


def _place(axes: Axes, ends: Sequence[tuple[str, float, float, str]], side: str) -> None:
    """Write names beside the line ends, moved apart where they would overlap."""
    if not ends:
        return
    axes.margins(x=0.02)
    axes.get_xlim(), axes.get_ylim()  # settles the limits, which the next line reads
    to_unit = axes.transScale + axes.transLimits
    height = [float(to_unit.transform((x, y))[1]) for _, x, y, _ in ends]
    order = sorted(range(len(ends)), key=lambda k: height[k])
    step, placed = 0.075, [0.0] * len(ends)
    last = -1.0
    for k in order:
        last = placed[k] = max(height[k], last + step)
    # Pushed over the top: move the stack down again.
    ceiling = 1.02
    for k in reversed(order):
        placed[k] = min(placed[k], ceiling)
        ceiling = placed[k] - step
    for (label, _, _, colour), y in zip(ends, placed, strict=True):
        x, align = (1.015, "left") if side == "right" else (0.0, "left")
        axes.text(x, y, label, transform=axes.transAxes, color=colour, va="center", ha=align)
    if side == "left":
        low, high = axes.get_xlim()
        axes.set_xlim(low * (low / high) ** 0.22, high)
