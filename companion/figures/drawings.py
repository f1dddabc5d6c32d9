"""Drawings that explain: distributions in a triangle, and steps that follow one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

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
    figure = Figure(figsize=(6.4, 4.6))
    axes = figure.subplots()
    axes.set_aspect("equal")
    axes.axis("off")
    axes.fill(*_CORNERS.T, facecolor="#f4f4f4", edgecolor="#444444", linewidth=1)
    for name, (x, y), side in zip(items, _CORNERS, ("right", "left", "center"), strict=True):
        off, anchor = (6, "bottom") if side == "center" else (-14, "center")
        axes.annotate(name, (x, y), (0, off), textcoords="offset points", ha=side, va=anchor)
    middle = _CORNERS.mean(axis=0)
    for (name, border), colour in zip(balls.items(), NEUTRALS, strict=False):
        axes.plot(*(np.vstack([border, border[:1]]) @ _CORNERS).T, color=colour, linewidth=1.5)
        at = worst[name] @ _CORNERS
        axes.annotate("", at, middle, arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.5})
        axes.plot(*at, "o", color=colour, markersize=7)
        beside = (1.06 - at[1] / np.sqrt(3), at[1])  # right of the triangle
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "relpos": (0.0, 0.5)}
        axes.annotate(name, at, beside, color=colour, va="center", arrowprops=line)
    axes.plot(*middle, "o", color=_INK, markersize=5)
    axes.annotate("uniform P", middle, (-7, 5), textcoords="offset points", ha="right", color=_INK)
    axes.set(xlim=(-0.2, 1.25), ylim=(-0.08, 0.98))
    return figure


@keeps_data
def flow(steps: pd.DataFrame) -> Figure:
    """Draw steps as boxes in two rows, with arrows from each to the next and back to the first.

    Parameters
    ----------
    steps : DataFrame
        Columns ``step``, its name, and ``holds``, what it makes, of one or two lines; an even
        number of rows, the second half drawn from the right.
    """
    figure = Figure(figsize=(6.4, 3.4))
    axes = figure.subplots()
    axes.axis("off")
    columns = len(steps) // 2
    wide, high = 0.84 / columns, 0.34
    places = [((k + 0.5) / columns, 0.78) for k in range(columns)]
    places += [(x, 0.22) for x, _ in reversed(places)]
    for (x, y), (name, holds) in zip(
        places, steps[["step", "holds"]].astype(str).to_numpy(), strict=True
    ):
        box = (x - wide / 2, y - high / 2)
        axes.add_patch(FancyBboxPatch(box, wide, high, boxstyle="round,pad=0,rounding_size=0.02",
                                      facecolor="#f4f4f4", edgecolor=NEUTRALS[0]))  # fmt: skip
        axes.text(x, y + 0.1, name, ha="center", va="center", weight="bold", color=_INK)
        axes.text(x, y - 0.05, holds, ha="center", va="center", fontsize=10, color=_INK)
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
