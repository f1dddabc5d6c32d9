"""The paper's tables with our recorded runs beside them, as one long table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from psl.experiments import AXES, cell_command, cell_runs, cells
from psl.records import METRICS, of_registered_data
from psl.statistics import interval

__all__ = ["overview"]

NUMBERS = ("noise_ratio", "tau", "negatives")


def overview(
    experiment: str,
    records: list[dict[str, Any]],
    *,
    seeds: Iterable[int] | None = None,
    metrics: Sequence[str] = METRICS,
    **filters: Any,
) -> pd.DataFrame:
    """Return a row for each cell and metric of an experiment.

    Parameters
    ----------
    experiment : str
        As :func:`psl.experiments.cells` takes it, with its filters.
    records : list of dict
        Run records, as :func:`psl.records.read` returns them; one of other data than the
        registered does not count.
    seeds : iterable of int, optional
        Seeds that count; every recorded one if not given.
    metrics : sequence of str

    Returns
    -------
    DataFrame
        The axes of the grid, with the temperature and the number of negatives of the run where
        it has a configuration; ``metric``; ``paper``, the printed value; ``ours``, the mean over
        seeds, with its 95 % interval ``low`` to ``high`` and the number of ``seeds``; ``command``,
        which records the first seed.  What is not printed or not recorded is NaN.
    """
    chosen, rows = None if seeds is None else set(seeds), []
    records = of_registered_data(records)
    for place in cells(experiment, **filters):
        runs = {} if place.config is None else cell_runs(records, place.config)
        runs = {s: r for s, r in runs.items() if chosen is None or s in chosen}
        for metric in metrics:
            row = {axis: place.where[axis] for axis in AXES} | {"metric": metric}
            row |= {axis: math.nan for axis in NUMBERS if row[axis] is None}
            if place.config:
                row |= {"tau": place.config.tau, "negatives": place.config.negatives}
            row |= {"paper": place.printed.get(metric, math.nan), "ours": math.nan}
            row |= {"low": math.nan, "high": math.nan, "seeds": len(runs)}
            if runs:
                ours = interval([r["metrics"][metric] for r in runs.values()])
                row |= {"ours": ours.mean, "low": ours.low, "high": ours.high}
            row["command"] = cell_command(place.config) if place.config else ""
            rows.append(row)
    return pd.DataFrame(rows)
