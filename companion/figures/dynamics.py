"""Figures of training dynamics: where a loss's weight falls, and how tight its bound is."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from companion.figures.labels import label_ends
from companion.figures.panels import is_leftmost, is_narrow, one_panel, panels
from companion.figures.source import keeps_data
from companion.figures.style import colour_of, line_of
from companion.names import LABELS

__all__ = ["tightness", "weight_over_epochs"]


@keeps_data
def weight_over_epochs(table: pd.DataFrame) -> Figure:
    """Draw the part of each loss's weight on false negatives over the epochs, a panel a setting.

    Parameters
    ----------
    table : DataFrame
        Columns ``panel``, ``loss``, ``epoch``, ``share`` and ``drawn``: a row for each seed, of
        which the mean is drawn as a line and the range as a band; the part of the draws is dotted.
    """
    settings = list(dict.fromkeys(table["panel"]))
    figure, every = panels(len(settings), 2.6 if is_narrow() else 3.8)
    for axes, panel in zip(every, settings, strict=True):
        here = table[table["panel"] == panel]
        ends = []
        for loss, own in here.groupby("loss", sort=False):
            by = own.groupby("epoch")["share"].agg(["mean", "min", "max"])
            axes.plot(by.index, by["mean"], **line_of(str(loss)))
            axes.fill_between(by.index, by["min"], by["max"], color=colour_of(str(loss)), alpha=0.2)
            ends.append((str(loss), float(by.index[-1]), float(by["mean"].iloc[-1])))
        axes.axhline(here["drawn"].mean(), color="0.4", linestyle=":")
        axes.set(title=panel, xlabel="epoch", xscale="log", ylim=(0, None))
        axes.set_xticks(sorted(set(here["epoch"])), [str(e) for e in sorted(set(here["epoch"]))])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        if is_narrow() or axes is every[-1]:  # a name would touch the next panel's numbers
            label_ends(axes, ends)
        if is_leftmost(axes):
            axes.set_ylabel("weight on false negatives")
    return figure


@keeps_data
def tightness(table: pd.DataFrame) -> Figure:
    """Draw NDCG@20 of trained models over the distance of their loss from the metric.

    Parameters
    ----------
    table : DataFrame
        Columns ``loss``, ``tau``, ``distance`` and ``ndcg@20``: a row a model.  A line goes through
        the temperatures of a loss, which are written beside the dots of SL and softplus.
    """
    figure, axes = one_panel("distance of the loss from −log DCG, nats", "NDCG@20")
    losses = dict.fromkeys(table["loss"])
    for loss in losses:
        own = table[table["loss"] == loss].sort_values("tau")
        axes.plot(
            own["distance"],
            own["ndcg@20"],
            **line_of(loss),
            marker="o",
            label=LABELS.get(loss, loss),
        )
        if loss not in ("sl", "psl-softplus"):  # the others lie on SL's
            continue
        for tau, x, y in zip(own["tau"], own["distance"], own["ndcg@20"], strict=True):
            axes.annotate(
                f"τ {tau:g}",
                (x, y),
                textcoords="offset points",
                xytext=(8, -4),
                color=colour_of(loss),
            )
    axes.set_xscale("log")
    ticks = [3, 4, 6, 8, 12, 16]
    axes.set_xticks(ticks, [str(x) for x in ticks])
    axes.minorticks_off()
    axes.margins(x=0.12)
    if is_narrow():  # below, for in the panel it would lie on marks
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=2)
        figure.set_figheight(1.25 * figure.get_figheight())
    else:
        axes.legend(loc="lower right")
    return figure
