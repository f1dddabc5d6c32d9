"""Figures of the theory: activations, weights, slacks, temperatures, worst cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from psl.figures.style import COLOURS, STYLES, colour_of, label_ends, name_ends, one_panel

__all__ = ["activations", "gaps", "lines", "slack", "temperatures", "tilts", "weights"]

_FURTHER = ("#c0390a", "#2456b4", "#00755a", "#7446b0")


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
    figure, axes = one_panel("temperature τ", ylabel)
    axes.set(xscale="log", yscale="log")
    for name, y in curves.items():
        axes.plot(tau, y, color=colour_of(name), linestyle=STYLES.get(name, "-"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    # All slacks meet at large temperatures: the names stand at the left.
    label_ends(axes, [(name, tau[0], y[0]) for name, y in curves.items()], side="left")
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
    figure, axes = one_panel(xlabel, "optimal multiplier τ*")
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
    name_ends(axes, starts, side="left")
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
    figure, axes = one_panel("radius η, nats", "gap, relative to the range of l")
    ends = []
    colours, markers = ("#1a1a1a", "#2456b4", "#c0390a", "#00755a", "#7446b0"), ("o", "^", "s", "D")
    for (name, gap), colour, marker in zip(
        routes.items(), cycle(colours), cycle(markers), strict=False
    ):
        axes.plot(eta, gap.clip(min=1e-17), marker, color=colour, markersize=2.5, alpha=0.6)
        axes.axhline(bounds[name], color=colour, linestyle="--", linewidth=1)
        ends.append((name, float(eta.max()), bounds[name], colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    name_ends(axes, ends, "right")
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
    figure, axes = one_panel("loss l of an item", "worst-case weight, uniform = 1")
    ends = []
    styles = ("-", "--", "-.", ":")
    colours = ("#c0390a", "#2456b4", "#00755a", "#7446b0", "#1a1a1a")
    for (name, ratio), style, colour in zip(
        ratios.items(), cycle(styles), cycle(colours), strict=False
    ):
        axes.plot(losses, ratio, linestyle=style, color=colour)
        ends.append((name, float(losses[-1]), float(ratio[-1]), colour))
    axes.set_yscale("symlog", linthresh=1)
    name_ends(axes, ends, "right")
    return figure


def lines(x: np.ndarray, curves: Mapping[str, np.ndarray], xlabel: str, ylabel: str) -> Figure:
    """Draw a family of curves over one axis, each with its name at its end.

    Parameters
    ----------
    x : ndarray, shape (n,)
    curves : mapping of str to ndarray, shape (n,)
    xlabel, ylabel : str
    """
    figure, axes = one_panel(xlabel, ylabel)
    ends = []
    styles = (":", "--", "-", "-.")
    # The first four are told apart by their style alone; after them another colour comes in.
    colours = [c for c in (COLOURS["sl"], *_FURTHER) for _ in styles]
    for (name, y), style, colour in zip(
        curves.items(), cycle(styles), cycle(colours), strict=False
    ):
        axes.plot(x, y, color=colour, linestyle=style)
        ends.append((name, float(x[-1]), float(y[-1]), colour))
    name_ends(axes, ends, "right")
    return figure


def _over_difference(d: np.ndarray, curves: Mapping[str, np.ndarray], ylabel: str) -> Figure:
    figure, axes = one_panel("score difference d = f(u, j) − f(u, i)", ylabel)
    for name, y in curves.items():
        style = ":" if name == "step" else STYLES.get(name, "-")
        axes.plot(d, y, color=colour_of(name), linestyle=style)
    label_ends(axes, [(name, d[-1], y[-1]) for name, y in curves.items()])
    return figure
