"""Any two losses of Table 1 side by side: printed, ours, and the gain of the paired seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from companion.figures.paper_tables import BACKBONES
from companion.figures.statuses import Html
from companion.figures.style import COLOURS
from companion.figures.tabular import value_table
from companion.names import LABELS, metric_name
from companion.pages import render

__all__ = ["table_explorer"]

_VALUE = ("paper", "ours", "low", "high")
_GAIN = ("ours", "low", "high")
_START = ("amazon-electronic", "mf", "psl-relu", "sl")


def table_explorer(
    values: pd.DataFrame,
    gains: Mapping[str, pd.DataFrame],
    start: tuple[str, str, str, str] = _START,
) -> Html:
    """Return a choice of dataset, backbone and two losses, with what is printed and what was run.

    Parameters
    ----------
    values : DataFrame
        Of :func:`companion.tables.overview`.
    gains : mapping of str to DataFrame
        By the other loss: what each loss gains on it, of :func:`companion.tables.gains`.
    start : (str, str, str, str)
        Dataset, backbone, loss and the other loss at first sight; their table stands where there
        is no JavaScript.
    """
    losses = [loss for loss in LABELS if loss in set(values["loss"])]
    data = {
        "metrics": [metric_name(name) for name in values["metric"].unique()],
        "labels": {loss: LABELS[loss] for loss in losses},
        "colours": {loss: COLOURS[loss] for loss in losses},
        "values": _by_place(
            (row, row["loss"], {k: _number(row[k], 5) for k in _VALUE if not math.isnan(row[k])})
            for row in values.to_dict("records")
        ),
        "gains": _by_place(
            (row, f"{row['loss']} {over}", [*(_number(row[k], 5) for k in _GAIN), row["seeds"]])
            for over, table in gains.items()
            for row in table[table["seeds"] > 0].to_dict("records")
        ),
    }
    dataset, backbone, *_ = start
    here = values[(values["dataset"] == dataset) & (values["backbone"] == backbone)]
    still = value_table(here, f"{dataset}, {BACKBONES[backbone]}").html()
    names = {dataset: dataset for dataset in values["dataset"].unique()}
    choices = {"datasets": names, "backbones": BACKBONES, "start": start}
    return Html(render("table1.html", data=data, still=Markup(still), **choices))


def _by_place(rows: Iterable[tuple[Mapping[Any, Any], str, Any]]) -> dict[str, dict[str, Any]]:
    """Put what belongs to one dataset, backbone and metric together: its name is written once."""
    found: dict[str, dict[str, Any]] = {}
    for row, losses, value in rows:
        place = f"{row['dataset']} {row['backbone']} {metric_name(row['metric'])}"
        found.setdefault(place, {})[losses] = value
    return found


def _number(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)
