"""Panels on a page, and on a phone: half as wide and below one another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["for_a_phone", "is_leftmost", "is_narrow", "one_panel", "panels"]


@contextmanager
def for_a_phone() -> Iterator[None]:
    """Let what is drawn meanwhile fit a phone."""
    with (
        as_file(files("companion.figures") / "phone.mplstyle") as path,
        matplotlib.style.context(path),
    ):
        yield


def is_narrow() -> bool:
    """Say whether figures are drawn for a phone."""
    return bool(mpl.rcParams["figure.figsize"][0] < 5)


def one_panel(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """Start a figure of one panel."""
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def panels(
    count: int,
    height: float,
    *,
    columns: int = 4,
    on_a_phone: int = 1,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Start a figure of several panels, in the order of reading.

    Parameters
    ----------
    count : int
        Panels; without one the figure says that there is no record.
    height : float
        Of a row of them, in inches.
    columns, on_a_phone : int
        Panels that stand beside one another at most, on a page and on a phone.
    sharex, sharey : bool
        As those of :meth:`matplotlib.figure.Figure.subplots`.
    """
    across = max(1, min(on_a_phone if is_narrow() else columns, count))
    rows = max(1, math.ceil(count / across))
    figure = Figure(figsize=(mpl.rcParams["figure.figsize"][0], rows * height))
    if not count:
        figure.text(0.5, 0.5, "no record to show", ha="center", va="center")
        return figure, []
    every = list(figure.subplots(rows, across, squeeze=False, sharex=sharex, sharey=sharey).flat)
    for axes in every[count:]:
        axes.set_visible(False)
    return figure, every[:count]


def is_leftmost(axes: Axes) -> bool:
    """Say whether nothing stands left of a panel, so that its vertical axis wants a name."""
    place = axes.get_subplotspec()
    return place is None or place.is_first_col()
