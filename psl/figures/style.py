"""One style for the whole book: colours, names, panels, and names at the ends of lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.resources import as_file, files

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "LABELS",
    "STYLES",
    "colour_of",
    "label_ends",
    "metric_name",
    "name_ends",
    "one_panel",
    "use_style",
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

STYLES = {"psl-tanh": "-.", "psl-atan": (0, (6, 1.5)), "psl-softplus": (0, (4, 1, 1, 1, 1, 1))}
METRICS = {"ndcg": "NDCG", "recall": "Recall", "mrr": "MRR"}


def use_style() -> None:
    """Apply the style of the book; inside a notebook, draw figures as SVG without a date."""
    with as_file(files("psl.figures") / "book.mplstyle") as path:
        matplotlib.style.use(path)
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


def colour_of(name: str) -> str:
    """Return a loss's colour; grey for any other name."""
    return COLOURS.get(name, "#444444")


def metric_name(name: str) -> str:
    """Write ``ndcg@20`` as the field does: NDCG@20."""
    head, _, cut = name.partition("@")
    return METRICS.get(head, head) + (f"@{cut}" if cut else "")


def one_panel(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """Start a figure of one panel."""
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def label_ends(axes: Axes, ends: Sequence[tuple[str, float, float]], side: str = "right") -> None:
    """Write the losses' names at their lines' ends: (loss, x, y)."""
    name_ends(axes, [(LABELS.get(n, n), x, y, colour_of(n)) for n, x, y in ends], side)


def name_ends(axes: Axes, ends: Sequence[tuple[str, float, float, str]], side: str) -> None:
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
