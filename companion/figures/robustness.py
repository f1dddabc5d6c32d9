"""Figures of distributional robustness: radius, multiplier, worst case, directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from companion.figures.labels import name_ends
from companion.figures.panels import is_narrow, one_panel
from companion.figures.source import keeps_data
from companion.figures.style import NEUTRALS, looks

__all__ = ["gaps", "paths", "temperatures", "tilts"]


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
    figure, axes = one_panel("along, degrees", "across, degrees")
    start = next(iter(curves.values()))[0]
    # Two axes of the tangent plane: towards the end of the first curve, and across.
    along = next(iter(curves.values()))[-1]
    along = along - (along @ start) * start
    along /= np.linalg.norm(along)
    plane = np.stack([along, np.cross(start, along)])
    offsets = cycle(((2, -22), (14, 25)) if is_narrow() else ((8, -8), (-8, 8)))
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
