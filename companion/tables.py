"""The paper's tables with our recorded runs beside them, as one long table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from companion.experiments import AXES, cell_command, cell_runs, cells
from companion.records import METRICS, of_registered_data
from companion.statistics import PairedDifference, holm, interval, paired_difference
from psl.training import RunConfig

__all__ = ["contrasts", "forest", "gain", "gains", "gains_everywhere", "overview"]

NUMBERS = ("noise_ratio", "tau", "negatives")
SETTINGS = {"iid": "", "ood": " OOD", "noise": " noise"}
BACKBONES = {"mf": "", "lightgcn": ", LightGCN", "xsimgcl": ", XSimGCL", "simgcl": ", SimGCL"}
BACKBONES |= {"lightgcn++": ", LightGCN++", "simplex": ", SimpleX"}


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
        As :func:`companion.experiments.cells` takes it, with its filters.
    records : list of dict
        Run records, as :func:`companion.records.read` returns them; one of other data than the
        registered does not count.
    seeds : iterable of int, optional
        Seeds that count; every recorded one if not given.
    metrics : sequence of str

    Returns
    -------
    DataFrame
        The axes of the grid, with the temperature and the number of negatives of the run where
        it has a configuration; ``metric``; ``paper``, the printed value; ``ours``, the mean over
        seeds, with its 95 % interval ``low`` to ``high`` and the number of ``seeds``; ``runs``,
        their ids; ``command``, which records the first seed.  What is not printed or not recorded
        is NaN.
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
            row["runs"] = _ids(runs.values())
            row["command"] = cell_command(place.config) if place.config else ""
            rows.append(row)
    return pd.DataFrame(rows)


def gain(
    records: list[dict[str, Any]], config: RunConfig, over: RunConfig, metric: str
) -> PairedDifference | None:
    """Compare two cells on the seeds that both have; ``None`` without one."""
    return _gain(records, config, over, metric)[0]


def _gain(
    records: list[dict[str, Any]], config: RunConfig, over: RunConfig, metric: str
) -> tuple[PairedDifference | None, str]:
    """Return what two cells differ by on the seeds that both have, and the ids of those runs."""
    ours, other = (cell_runs(records, c) for c in (config, over))
    shared = sorted(ours.keys() & other.keys())
    if not shared:
        return None, ""
    pair = [[r[seed] for seed in shared] for r in (ours, other)]
    mine, base = ([run["metrics"][metric] for run in runs] for runs in pair)
    return paired_difference(mine, base), _ids(chain(*pair))


def _ids(runs: Iterable[Mapping[str, Any]]) -> str:
    return " ".join(run["run_id"] for run in runs)


def contrasts(
    records: list[dict[str, Any]],
    pairs: Mapping[str, tuple[RunConfig, RunConfig]],
    metric: str = "ndcg@20",
) -> pd.DataFrame:
    """Return what each change of a configuration gains, in percent.

    Parameters
    ----------
    records : list of dict
        Run records; one of other data than the registered does not count.
    pairs : mapping of str to (RunConfig, RunConfig)
        What a change is called, the cell with it and the cell without.
    metric : str

    Returns
    -------
    DataFrame
        For :func:`companion.figures.differences`: ``label``, with the number of seeds that both
        cells have in brackets, the ``loss`` of the first cell, ``ours`` with its 95 % interval
        ``low`` to ``high``, in percent of the second cell, ``seeds`` and the ids of their ``runs``.
        A pair without a shared seed has no row.
    """
    rows, records = [], of_registered_data(records)
    for name, (config, over) in pairs.items():
        found, runs = _gain(records, config, over, metric)
        if found is None:
            continue
        row = {"label": f"{name} ({found.count})", "loss": config.loss, "seeds": found.count}
        row["runs"] = runs
        ends = {end: 100 * getattr(found, end) / found.other for end in ("low", "high")}
        rows.append(row | {"ours": 100 * found.relative, **ends, "paper": math.nan})
    return pd.DataFrame(rows, columns=None if rows else ["label", "loss", "seeds", "ours"])


def gains(
    experiment: str,
    records: list[dict[str, Any]],
    *,
    over: str = "sl",
    metrics: Sequence[str] = METRICS,
    **filters: Any,
) -> pd.DataFrame:
    """Return a row for each cell and metric: what it gains on another loss in the same place.

    Parameters
    ----------
    experiment, records, metrics
        As :func:`overview`, with the filters.
    over : str
        The other loss; it has no rows of its own.

    Returns
    -------
    DataFrame
        The axes of the grid; ``metric``; ``paper``, the gain in the printed values; ``ours``, the
        mean gain over the seeds of both, with its 95 % interval ``low`` to ``high``; all four in
        parts of the other loss.  ``p``, of the paired t-test; ``r``, the correlation over the
        seeds; the number of ``seeds``; the ids of both cells' ``runs``.  What is not printed or not
        recorded is NaN.
    """
    rows, records = [], of_registered_data(records)
    place_of = tuple(axis for axis in AXES if axis not in ("loss", "form"))
    every = cells(experiment, **filters | {"loss": []})
    bases = {tuple(c.where[axis] for axis in place_of): c for c in every if c.where["loss"] == over}
    for place in cells(experiment, **filters):
        base = bases.get(tuple(place.where[axis] for axis in place_of))
        if place.where["loss"] == over or base is None:
            continue
        for metric in metrics:
            row = {axis: place.where[axis] for axis in AXES} | {"metric": metric}
            row |= dict.fromkeys(("paper", "ours", "low", "high", "p", "r"), math.nan)
            row["seeds"] = 0
            if metric in place.printed and metric in base.printed:
                row["paper"] = place.printed[metric] / base.printed[metric] - 1
            found, row["runs"] = None, ""
            if place.config is not None and base.config is not None:
                found, row["runs"] = _gain(records, place.config, base.config, metric)
            if found is not None:
                ends = {end: getattr(found, end) / found.other for end in ("low", "high")}
                row |= {"ours": found.relative, **ends, "p": found.p_value}
                row |= {"r": found.correlation, "seeds": found.count}
            rows.append(row)
    return pd.DataFrame(rows)


def gains_everywhere(records: list[dict[str, Any]], *losses: str) -> pd.DataFrame:
    """Return the rows of :func:`gains` in NDCG@20 of every place where a loss and SL were run.

    Without a loss all of them.  A row's ``label`` is its place; ``corrected`` is its p-value by
    Holm's method over the rows that have one.
    """
    experiments = ("table1", "table2", "noise", "softplus", "health")
    every = pd.concat([gains(e, records, metrics=["ndcg@20"]) for e in experiments])
    found = every[(every["loss"].isin(losses) | (not losses)) & (every["seeds"] > 0)]
    places = ["dataset", "setting", "backbone", "noise_ratio"]  # softplus has those of others too
    found = found.drop_duplicates([*places, "loss"]).reset_index(drop=True)
    names = [_place_name(row) for row in found.itertuples()]
    return found.assign(label=names, corrected=holm(list(found["p"])))


def forest(
    records: list[dict[str, Any]],
    loss: str = "psl-relu",
    *,
    fresh: Sequence[dict[str, Any]] = (),
) -> pd.DataFrame:
    """Return what a loss gains on SL in NDCG@20, in percent, wherever both were run.

    Where there are ``fresh`` records, on seeds that a question keeps for itself, the row is theirs.

    Returns
    -------
    DataFrame
        As :func:`gains`, for :func:`companion.figures.differences`; a row's ``label`` is its place,
        with the number of seeds in brackets; ``fresh`` tells whether they are.
    """
    found = gains_everywhere(records, loss).assign(fresh=False).set_index("label", drop=False)
    asked = gains_everywhere(list(fresh), loss).assign(fresh=True).set_index("label", drop=False)
    asked = asked[(asked["seeds"] > 1) & asked.index.isin(found.index)]
    found.loc[asked.index] = asked
    found = found.reset_index(drop=True)
    found[["ours", "low", "high", "paper"]] *= 100
    words = found["fresh"].map({True: " fresh", False: ""})
    found["label"] += " (" + found["seeds"].astype(str) + words + ")"
    return found


def _place_name(row: Any) -> str:
    dataset = row.dataset.removeprefix("amazon-").capitalize().replace("Cd", "CD")
    ratio = f" {row.noise_ratio:g}" if pd.notna(row.noise_ratio) else ""
    return f"{dataset}{SETTINGS[row.setting]}{ratio}{BACKBONES[row.backbone]}"
