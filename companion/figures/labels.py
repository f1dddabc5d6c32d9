"""Names at the ends of lines, as near to them as they can stand without touching."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from companion.figures.panels import is_narrow
from companion.figures.style import colour_of
from companion.names import LABELS

__all__ = ["label_ends", "name_ends", "spread"]

_LEADING = 1.2  # height of a line of text in font sizes


def spread(
    wanted: np.ndarray, sizes: np.ndarray, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """Move heights apart, in their order, with the least sum of squared displacements.

    Parameters
    ----------
    wanted : ndarray, shape (n,)
    sizes : ndarray, shape (n,)
        How much room each takes, half of it on either side.
    low, high : float
        All stay between these; a stack that is too tall is centred on them.

    Returns
    -------
    ndarray, shape (n,)
        In the order of ``wanted``.
    """
    order = np.argsort(wanted, kind="stable")
    half = sizes[order] / 2
    # Less what must lie below each, the heights have only to ascend: an isotonic regression.
    below = np.concatenate([[0.0], np.cumsum(half[1:] + half[:-1])])
    room = high - low - below[-1]
    first, last = (low, low + room) if room > 0 else (low + room / 2, low + room / 2)
    placed = np.empty(len(wanted))
    placed[order] = isotonic_regression(wanted[order] - below).x.clip(first, last) + below
    return placed


def label_ends(axes: Axes, ends: Sequence[tuple[str, float, float]], side: str = "right") -> None:
    """Write the losses' names at their lines' ends: (loss, x, y)."""
    name_ends(axes, [(LABELS.get(n, n), x, y, colour_of(n)) for n, x, y in ends], side)


def name_ends(axes: Axes, ends: Sequence[tuple[str, float, float, str]], side: str) -> None:
    """Write names beside the line ends (name, x, y, colour), a thin line where one stands off.

    Call it when the limits of the vertical axis are settled.
    """
    if not ends:
        return
    axes.margins(x=0.02)
    axes.get_xlim(), axes.get_ylim()  # settles the limits, which the next line reads
    to_unit = axes.transScale + axes.transLimits
    x, wanted = to_unit.transform([(x, y) for _, x, y, _ in ends]).clip(0, 1).T
    box = axes.get_window_extent()
    points = mpl.rcParams["font.size"] * axes.figure.dpi / 72
    line = _LEADING * points / box.height
    placed = spread(wanted, np.array([line * (1 + name.count("\n")) for name, *_ in ends]))
    far = abs(placed - wanted) > line / 3
    if side == "right":
        far |= x < 0.9
        place, anchor = 1 + (1.6 if far.any() else 0.5) * points / box.width, (0.0, 0.5)
    else:
        place, anchor = 0.4 * points / box.width, (1.0, 0.5)
        low, high = axes.get_xlim()
        axes.set_xlim(low * (low / high) ** (0.5 if is_narrow() else 0.24), high)
    low, high = axes.get_ylim()
    for k, (name, end, value, colour) in enumerate(ends):
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "relpos": anchor}
        axes.annotate(
            name,
            (end, float(np.clip(value, low, high))),
            (place, float(placed[k])),
            textcoords="axes fraction",
            color=colour,
            va="center",
            arrowprops=leader | {"shrinkA": 1, "shrinkB": 3} if far[k] else None,
            annotation_clip=False,
        )
