"""Drawings that explain: distributions in a triangle, and steps that follow one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from companion.figures.panels import is_narrow, panels
from companion.figures.source import keeps_data
from companion.figures.style import NEUTRALS

__all__ = ["flow", "simplex"]

_INK = "#1a1a1a"
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


@keeps_data
def simplex(
    balls: Mapping[str, np.ndarray], worst: Mapping[str, np.ndarray], items: Sequence[str]
) -> Figure:
    """Draw balls around the uniform distribution on three items, and the worst case of each.

    Parameters
    ----------
    balls : mapping of str to ndarray, shape (K, 3)
        Distributions on the border of each ball, in their order around it, by the ball's name.
    worst : mapping of str to ndarray, shape (3,)
        The distribution in each ball with the largest expected loss.
    items : sequence of str
        What stands at the three corners, where the one item has all weight.
    """
    narrow = is_narrow()
    figure, (axes,) = panels(1, 4.0 if narrow else 4.6)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.fill(*_CORNERS.T, facecolor="#f4f4f4", edgecolor="#444444", linewidth=1)
    for name, (x, y), side in zip(items, _CORNERS, ("right", "left", "center"), strict=True):
        off, anchor = (6, "bottom") if side == "center" else (-14, "center")
        if narrow:
            side = {"right": "left", "left": "right"}.get(side, side)
        axes.annotate(name, (x, y), (0, off), textcoords="offset points", ha=side, va=anchor)
    middle = _CORNERS.mean(axis=0)
    for k, ((name, border), colour) in enumerate(zip(balls.items(), NEUTRALS, strict=False)):
        axes.plot(*(np.vstack([border, border[:1]]) @ _CORNERS).T, color=colour, linewidth=1.5)
        at = worst[name] @ _CORNERS
        axes.annotate("", at, middle, arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.5})
        axes.plot(*at, "o", color=colour, markersize=7)
        beside = (1.06 - at[1] / np.sqrt(3), at[1])  # right of the triangle
        if narrow:
            axes.text(0.5, -0.24 - 0.09 * k, name, color=colour, ha="center")
            continue
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "relpos": (0.0, 0.5)}
        axes.annotate(name, at, beside, color=colour, va="center", arrowprops=line)
    axes.plot(*middle, "o", color=_INK, markersize=5)
    name = "P" if narrow else "uniform P"  # below its dot, inside the smallest ball
    under, points = (0, -5), "offset points"
    axes.annotate(name, middle, under, textcoords=points, ha="center", va="top", color=_INK)
    if narrow:
        axes.set(xlim=(-0.12, 1.12), ylim=(-0.26 - 0.09 * len(balls), 0.98))
    else:
        axes.set(xlim=(-0.2, 1.25), ylim=(-0.08, 0.98))
    return figure


@keeps_data
def flow(steps: pd.DataFrame) -> Figure:
    """Draw steps as boxes in a ring: two rows on a page, two columns on a phone.

    Parameters
    ----------
    steps : DataFrame
        Columns ``step``, its name, and ``holds``, what it makes, of one or two lines; an even
        number of rows; an arrow leads from each to the next, and back to the first.
    """
    narrow = is_narrow()
    figure, (axes,) = panels(1, 4.2 if narrow else 3.4)
    axes.axis("off")
    half, small = len(steps) // 2, mpl.rcParams["xtick.labelsize"]
    wide, high = (0.48, 0.72 / half) if narrow else (0.84 / half, 0.34)
    places = [((k + 0.5) / half, 0.78) for k in range(half)]
    places += [(x, 0.22) for x, _ in reversed(places)]
    if narrow:  # down on the left, up again on the right
        places = [(0.245 if y > 0.5 else 0.755, 1 - x) for x, y in places]
    for (x, y), (name, holds) in zip(
        places, steps[["step", "holds"]].astype(str).to_numpy(), strict=True
    ):
        box = (x - wide / 2, y - high / 2)
        axes.add_patch(FancyBboxPatch(box, wide, high, boxstyle="round,pad=0,rounding_size=0.02",
                                      facecolor="#f4f4f4", edgecolor=NEUTRALS[0]))  # fmt: skip
        axes.text(x, y + 0.3 * high, name, ha="center", va="center", weight="bold", color=_INK)
        axes.text(x, y - 0.15 * high, holds, ha="center", va="center", fontsize=small, color=_INK)
    arrow = {
        "arrowstyle": "-|>",
        "color": NEUTRALS[0],
        "linewidth": 1.5,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    for (x, y), (to, under) in zip(places, [*places[1:], places[0]], strict=True):
        across, down = np.sign(to - x), np.sign(under - y)
        start = (x + across * wide / 2, y + down * high / 2)
        axes.annotate(
            "", (to - across * wide / 2, under - down * high / 2), start, arrowprops=arrow
        )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    return figure
