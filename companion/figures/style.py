"""One style for the whole book: colours and lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.resources import as_file, files
from itertools import cycle
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from companion.figures.source import svg

__all__ = ["COLOURS", "NEUTRALS", "colour_of", "line_of", "looks", "use_style"]

# A colour means its loss and nothing else. Each, below too, has a contrast of at least 4.5 with
# white, so that a label can wear the colour of its line.
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
    "sl@k": "#d3230b",
    "sogclr": "#247b59",
    "sogsl@k": "#9b0889",
    "talos": "#345d1b",
    "drrl": "#280df2",
    "ccl": "#8a6528",
    "gbce": "#055c68",
    "simce": "#962c54",
    "lambdarank": "#077e15",
    "lambdaloss": "#9039c6",
    "lambdaloss@k": "#4f5a05",
    "guidedrec": "#2b5394",
}

# For what is no loss: five, and four line styles, so that twenty in turn look different.
NEUTRALS = ("#41566b", "#86695a", "#4f4766", "#5f7569", "#5f4c3d")
_LINES = ("-", "--", "-.", ":")


def use_style() -> None:
    """Apply the style of the book; inside a notebook, show figures as SVG with their data."""
    with as_file(files("companion.figures") / "book.mplstyle") as path:
        matplotlib.style.use(path)
    ipython = sys.modules.get("IPython")
    if ipython is not None and (shell := ipython.get_ipython()) is not None:
        formatters = shell.display_formatter.formatters
        formatters["image/png"].pop(Figure, None)
        formatters["image/svg+xml"].for_type(Figure, svg)


def colour_of(name: str) -> str:
    """Return a loss's colour; the first neutral one for any other name."""
    return COLOURS.get(name, NEUTRALS[0])


def line_of(name: str) -> dict[str, Any]:
    """Return how the line of a loss is drawn, the same in every figure: solid."""
    look = {"color": colour_of(name), "linestyle": ":" if name == "step" else "-"}
    # The arctangent lies on the tangent nearly everywhere: the one below is broad.
    return look | ({"linewidth": 4.5, "zorder": 1.9} if name == "psl-tanh" else {})


def looks() -> Iterator[tuple[str, str]]:
    """Yield a colour and a line style for each curve of a family that is no family of losses."""
    return zip(cycle(NEUTRALS), cycle(_LINES), strict=False)
