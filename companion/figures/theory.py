"""Figures of the theory: activations, weights, slacks, temperatures, worst cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise

import numpy as np
from matplotlib.figure import Figure

from companion.figures.labels import label_ends, name_ends
from companion.figures.source import keeps_data
from companion.figures.style import COLOURS, LABELS, NEUTRALS, line_of, looks, one_panel

__all__ = [
    "activations",
    "budget",
    "chain",
    "gaps",
    "lines",
    "pair_weights",
    "paths",
    "temperatures",
    "tilts",
    "weights",
]


@keeps_data
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


@keeps_data
def chain(d: np.ndarray, curves: Mapping[str, np.ndarray], links: Sequence[str]) -> Figure:
    """Draw three curves that bound one another, the lowest first, and name what lies between.

    Parameters
    ----------
    d, curves
        As :func:`activations`.
    links : sequence of str
        Names of the two bands.
    """
    figure = _over_difference(d, curves, "how much a pair counts")
    (axes,) = figure.axes
    inner = slice(len(d) // 10, -len(d) // 10)
    free = (0.62, 0.14), (0.08, 0.85)  # corners without a curve, in parts of the axes
    bands = zip(pairwise(curves.values()), links, NEUTRALS, free, strict=False)
    for (low, high), link, ink, place in bands:
        axes.fill_between(d, low, high, color=ink, alpha=0.25, linewidth=0)
        widest = inner.start + int((high - low)[inner].argmax())
        axes.annotate(
            link,
            (d[widest], (low + high)[widest] / 2),
            place,
            textcoords="axes fraction",
            color=ink,
            va="center",
            arrowprops={"arrowstyle": "-", "color": ink, "linewidth": 0.7},
        )
    return figure


@keeps_data
def weights(d: np.ndarray, curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw the weight that each loss gives to a pair; arguments as :func:`activations`."""
    return _over_difference(d, curves, "normalised gradient weight")


@keeps_data
def pair_weights(
    edges: np.ndarray,
    densities: Mapping[str, np.ndarray],
    curves: Mapping[str, np.ndarray],
    mark: float,
) -> Figure:
    """Draw where pairs are, above, and what losses make of such pairs, below.

    Parameters
    ----------
    edges : ndarray, shape (D + 1,)
        Borders of the bins of score differences, ascending.
    densities : mapping of str to ndarray, shape (D,)
        Density of each kind of pair, by its name.
    curves : mapping of str to ndarray, shape (D,)
        Relative weight by loss name, in the middle of each bin.
    mark : float
        A difference that is marked in both panels.
    """
    figure = Figure()
    figure.set_figheight(1.5 * figure.get_figheight())
    upper, lower = figure.subplots(2, 1, sharex=True)
    middle = (edges[1:] + edges[:-1]) / 2
    for (name, density), colour, side in zip(
        densities.items(), cycle(NEUTRALS), cycle(("right", "left")), strict=False
    ):
        upper.stairs(density, edges, color=colour, fill=True, alpha=0.25)
        upper.stairs(density, edges, color=colour)
        top = int(density.argmax())
        upper.annotate(f" {name} ", (middle[top], density[top]), color=colour, va="bottom", ha=side)
    for loss, y in curves.items():
        lower.plot(middle, y, **line_of(loss))
    lower.set(yscale="log", ylim=(1e-3, None))
    lower.yaxis.set_major_formatter("{x:g}")
    label_ends(lower, [(loss, middle[-1], y[-1]) for loss, y in curves.items()])
    for axes in (upper, lower):
        axes.axvline(mark, color="#444444", linewidth=1, linestyle=(0, (1, 2)))
    upper.margins(y=0.15)
    upper.set_ylabel("density")
    lower.set(xlabel="score difference d = f(u, j) − f(u, i)", ylabel="weight, relative to SL")
    return figure


@keeps_data
def budget(tau: np.ndarray, parts: Mapping[str, np.ndarray]) -> Figure:
    """Draw what the distance from a metric to a loss is made of, stacked, over the temperature.

    Parameters
    ----------
    tau : ndarray, shape (T,)
        Temperatures, ascending; the axis is logarithmic.
    parts : mapping of str to ndarray, shape (T,)
        Nats of each link by its name, not negative, from the bottom up.
    """
    figure, axes = one_panel("temperature τ", "distance, nats")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    low, ends = np.zeros(len(tau)), []
    for (name, part), ink in zip(parts.items(), cycle(NEUTRALS), strict=False):
        axes.fill_between(tau, low, low + part, color=ink, alpha=0.3, linewidth=0)
        axes.plot(tau, low + part, color=ink, linewidth=1)
        ends.append((name, float(tau[-1]), float((low + part / 2)[-1]), ink))
        low = low + part
    axes.set_ylim(0, None)
    name_ends(axes, ends, "right")
    return figure


@keeps_data
def temperatures(
    eta: np.ndarray,
    tau: np.ndarray,
    saturation: np.ndarray,
    labels: Sequence[str],
    level: float | None = None,
) -> Figure:
    """Draw the optimal multiplier over the radius, one line a (user, positive) pair.

    Parameters
    ----------
    eta : ndarray, shape (E,)
        Radii, ascending.
    tau : ndarray, shape (pairs, E)
        Multipliers, not negative; the axis is linear below 0.01.
    saturation : ndarray, shape (pairs,)
        The radius at which each multiplier reaches zero, dotted.
    labels : sequence of str
    level : float, optional
        A temperature that is marked, dashed.
    """
    figure, axes = one_panel("radius η, nats", "optimal multiplier τ*")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.01)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.set_ylim(0, 1.5 * tau.max())
    if level is not None:
        axes.axhline(level, color="#444444", linewidth=1, linestyle="--")
    starts = []
    for k, (line, label) in enumerate(zip(tau, labels, strict=True)):
        colour = NEUTRALS[k % len(NEUTRALS)]
        axes.plot(eta, line, color=colour)
        axes.axvline(saturation[k], color=colour, linewidth=1, linestyle=(0, (1, 2)))
        starts.append((label, eta[0], line[0], colour))
    name_ends(axes, starts, side="left")
    return figure


@keeps_data
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
    for (name, gap), colour, marker in zip(
        routes.items(), cycle(NEUTRALS), cycle("o^sD"), strict=False
    ):
        axes.plot(eta, gap.clip(min=1e-17), marker, color=colour, markersize=2.5, alpha=0.6)
        axes.axhline(bounds[name], color=colour, linestyle="--", linewidth=1)
        ends.append((name, float(eta.max()), bounds[name], colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    name_ends(axes, ends, "right")
    return figure


@keeps_data
def tilts(losses: np.ndarray, ratios: Mapping[str, np.ndarray]) -> Figure:
    """Draw worst-case weights relative to the uniform ones, over the item's loss.

    Parameters
    ----------
    losses : ndarray, shape (I,)
        Item losses, ascending.
    ratios : mapping of str to ndarray, shape (I,)
        ``q / p`` by the name of the divergence; below 0.01 they are drawn there.
    """
    figure, axes = one_panel("loss l of an item", "worst-case weight, uniform = 1")
    ends = []
    for (name, ratio), (colour, style) in zip(ratios.items(), looks(), strict=False):
        shown = ratio.clip(min=0.01)
        axes.plot(losses, shown, linestyle=style, color=colour)
        ends.append((name, float(losses[-1]), float(shown[-1]), colour))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    name_ends(axes, ends, "right")
    return figure


@keeps_data
def paths(curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw curves on the unit sphere, projected along their common start.

    Parameters
    ----------
    curves : mapping of str to ndarray, shape (n, 3)
        Unit vectors by the name of the curve; all begin near the same place, which gets a dot.
    """
    figure, axes = one_panel("degrees", "degrees")
    start = next(iter(curves.values()))[0]
    # Two axes of the tangent plane: towards the end of the first curve, and across.
    along = next(iter(curves.values()))[-1]
    along = along - (along @ start) * start
    along /= np.linalg.norm(along)
    plane = np.stack([along, np.cross(start, along)])
    offsets = cycle(((8, -8), (-8, 8)))
    for (name, curve), (colour, style) in zip(curves.items(), looks(), strict=False):
        x, y = np.degrees(np.arcsin((curve @ plane.T).clip(-1, 1))).T
        axes.plot(x, y, color=colour, linestyle=style)
        # Names in the middle: curves that start together may end together.
        at, offset = len(x) // 2, next(offsets)
        axes.annotate(
            name,
            (x[at], y[at]),
            offset,
            textcoords="offset points",
            color=colour,
            va="center",
            ha="left" if offset[0] > 0 else "right",
        )
    axes.plot(0, 0, "o", color="#1a1a1a", markersize=4)
    axes.set_aspect("equal", adjustable="datalim")
    return figure


LOOK = ("color", "linestyle")


@keeps_data
def lines(x: np.ndarray, curves: Mapping[str, np.ndarray], xlabel: str, ylabel: str) -> Figure:
    """Draw a family of curves over one axis, each with its name at its end.

    Parameters
    ----------
    x : ndarray, shape (n,)
    curves : mapping of str to ndarray, shape (n,)
        By name; one that is a loss's, as in the records or as it is shown, has the loss's colour.
    xlabel, ylabel : str
    """
    figure, axes = one_panel(xlabel, ylabel)
    ends, others = [], looks()
    losses = {label: loss for loss, label in LABELS.items()}
    for name, y in curves.items():
        loss = losses.get(name, name)
        look = line_of(loss) if loss in COLOURS else dict(zip(LOOK, next(others), strict=True))
        axes.plot(x, y, **look)
        ends.append((LABELS.get(name, name), float(x[-1]), float(y[-1]), look["color"]))
    name_ends(axes, ends, "right")
    return figure


def _over_difference(d: np.ndarray, curves: Mapping[str, np.ndarray], ylabel: str) -> Figure:
    figure, axes = one_panel("score difference d = f(u, j) − f(u, i)", ylabel)
    for name, y in curves.items():
        axes.plot(d, y, **line_of(name))
    label_ends(axes, [(name, d[-1], y[-1]) for name, y in curves.items()])
    return figure
