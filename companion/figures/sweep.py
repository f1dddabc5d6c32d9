"""The models of a sweep of one's own: what each differs by from the first, as SVG for a page."""

from __future__ import annotations

import math
from io import StringIO

import pandas as pd
from markupsafe import Markup

from companion.figures.results import differences
from companion.figures.style import use_style
from companion.sweep import SideBySide

__all__ = ["side_by_side"]


def side_by_side(side: SideBySide, metric: str) -> Markup:
    """Draw each model's difference to the first; nothing where there is no second one."""
    rows = [
        {
            "label": model.row.name,
            "loss": model.row.name.split()[0],
            "ours": gap.mean,
            "low": gap.low if gap.count > 1 else math.nan,
            "high": gap.high if gap.count > 1 else math.nan,
            "paper": math.nan,
        }
        for model in side.models
        if (gap := model.row.gap)
    ]
    if not rows:
        return Markup()
    use_style()
    xlabel = f"difference to {side.models[0].row.name} in {metric}, 95 % interval"
    written = StringIO()
    figure = differences(pd.DataFrame(rows), xlabel)
    figure.savefig(written, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = written.getvalue()
    return Markup(text[text.index("<svg") :])  # without the head of an XML file
