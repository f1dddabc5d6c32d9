"""Figures of the surrogates: activations, weights, slacks, and any family of curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise

import numpy as np
from matplotlib.figure import Figure

from companion.figures.labels import label_ends, name_ends
from companion.figures.panels import is_narrow, one_panel
from companion.figures.source import keeps_data
from companion.figures.style import COLOURS, NEUTRALS, line_of, looks
from companion.names import LABELS

__all__ = [
    "activations",
    "budget",
    "chain",
    "lines",
    "pair_weights",
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
        at, text = (middle[top], density[top]), {"color": colour, "va": "bottom", "ha": side}
        if is_narrow() and side == "right":  # left of the peak there is no room for it
            place, text = (0.02, density[top]), text | {"ha": "left"}
            upper.annotate(name, place, xycoords=("axes fraction", "data"), **text)
        else:
            upper.annotate(f" {name} ", at, **text)
    for loss, y in curves.items():
        lower.plot(middle, y, **line_of(loss))
    lower.set(yscale="log", ylim=(1e-3, None))
    lower.yaxis.set_major_formatter("{x:g}")
    label_ends(lower, [(loss, middle[-1], y[-1]) for loss, y in curves.items()])
    for axes in (upper, lower):
        axes.axvline(mark, color="#444444", linewidth=1, linestyle=(0, (1, 2)))
    upper.margins(y=0.2 if is_narrow() else 0.15)
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
