"""Losses under one budget: what a search of a given length finds, and its winners on new seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import comb

from companion.experiments import cell_runs
from companion.records import Trial, of_registered_data, winners
from companion.released import PaperConfig
from companion.statistics import holm, interval, paired_difference

__all__ = ["best_of", "budgets", "searches", "winners_tested"]

ROUNDING = 1e-12  # of a sum of shares


def best_of(scores: Sequence[float], count: int) -> tuple[float, float, float]:
    """Return what the best of some trials has, if they are drawn from those that were made.

    Every set of ``count`` trials, without repetition, is equally likely: the expected validation
    performance of a smaller budget.

    Parameters
    ----------
    scores : sequence of float
        Of the trials that were made.
    count : int
        Between 1 and their number.

    Returns
    -------
    mean, low, high : float
        The mean over the sets, and the ends of the middle 80 percent of them.

    Raises
    ------
    ValueError
        For another count.
    """
    total = len(scores)
    if not 1 <= count <= total:
        raise ValueError(f"count must be between 1 and {total}, got {count}")
    ordered = sorted(scores)
    # The best is the j-th smallest if that one is drawn and the others are below it.
    shares = [comb(j, count - 1) / comb(total, count) for j in range(total)]
    mean = sum(share * score for share, score in zip(shares, ordered, strict=True))
    below = np.cumsum(shares)
    low, high = (ordered[int(np.searchsorted(below, q - ROUNDING))] for q in (0.1, 0.9))
    return mean, low, high


def _score(trial: Trial) -> float:
    return trial.score or 0.0  # one that diverged before its first validation found nothing


def _by_loss(trials: Sequence[Trial], dataset: str) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda t: t.number):
        if trial.config["dataset"] == dataset:
            found.setdefault(trial.config["loss"], []).append(trial)
    return found


def budgets(trials: Sequence[Trial], dataset: str) -> pd.DataFrame:
    """Return what smaller budgets would have found on validation.

    Returns
    -------
    DataFrame
        Columns ``loss``, ``trials``, ``mean``, ``low`` and ``high``, as :func:`best_of`, and
        ``searches``, the digest of the search.
    """
    rows = []
    for loss, tried in _by_loss(trials, dataset).items():
        scores = [_score(t) for t in tried]
        for count in range(1, len(scores) + 1):
            mean, low, high = best_of(scores, count)
            row = {"loss": loss, "trials": count, "mean": mean, "low": low, "high": high}
            rows.append(row | {"searches": tried[0].search})
    return pd.DataFrame(rows, columns=["loss", "trials", "mean", "low", "high", "searches"])


def searches(trials: Sequence[Trial], dataset: str) -> pd.DataFrame:
    """Return a row for the search of each loss.

    Returns
    -------
    DataFrame
        ``loss``; how many ``trials``, of them ``pruned`` and ``diverged``; the ``best`` validation
        NDCG@20, at which of the trials it was found (``found``, from 1), the ``values`` there by
        field, and ``seconds`` of all trials.
    """
    best, rows = winners(trials), []
    for loss, tried in _by_loss(trials, dataset).items():
        won = next(
            (t for place, t in best.items() if (place[0], place[3]) == (dataset, loss)), None
        )
        states = [t.state for t in tried]
        row = {"loss": loss, "trials": len(tried)}
        row |= {state: states.count(state) for state in ("pruned", "diverged")}
        row |= {"best": math.nan, "found": 0, "values": {}}
        if won is not None:
            values = {field: won.config[field] for field in won.fields}
            row |= {"best": won.score, "found": won.number + 1, "values": values}
        rows.append(row | {"seconds": sum(t.seconds for t in tried)})
    return pd.DataFrame(rows).sort_values("best", ascending=False, kind="stable")


def winners_tested(
    trials: Sequence[Trial],
    records: list[dict[str, Any]],
    dataset: str,
    *,
    over: str = "sl",
    metric: str = "ndcg@20",
    others: Mapping[str, Mapping[int, float]] | None = None,
) -> pd.DataFrame:
    """Return a row for the winner of each search: its test metric on seeds the search had not.

    Parameters
    ----------
    trials : sequence of Trial
    records : list of dict
        Run records; one of other data than the registered does not count.
    dataset : str
    over : str
        The loss that the others are compared with.
    metric : str
    others : mapping of str to mapping of int to float, optional
        The metric of what is no loss, such as a baseline, by seed: rows beside the losses.

    Returns
    -------
    DataFrame
        ``loss``; ``ours``, the mean over the seeds, with its 95 % interval ``low`` to ``high`` and
        the number of ``seeds``; ``gain`` on the other loss, in parts of it, with its 95 % interval
        ``gain_low`` to ``gain_high``; ``p`` of the paired t-test, by Holm's method over the rows
        (``corrected``); the ids of the ``runs``.  The best stands first; a loss without a run has
        no row.
    """
    records = of_registered_data(records)
    runs: dict[str, dict[int, float]] = {}
    ids: dict[str, str] = {}
    for place, trial in winners(trials).items():
        if place[0] == dataset:
            found = cell_runs(records, PaperConfig(**trial.config))
            found.pop(trial.config["seed"], None)  # the search has seen its validation pairs
            runs[place[3]] = {seed: r["metrics"][metric] for seed, r in found.items()}
            ids[place[3]] = " ".join(r["run_id"] for r in found.values())
    base, rows = runs.get(over, {}), []
    for loss, values in [*runs.items(), *(others or {}).items()]:
        if not values:
            continue
        own = interval(list(values.values()))
        row: dict[str, Any] = {"loss": loss, "ours": own.mean, "low": own.low, "high": own.high}
        row |= {"seeds": own.count, "runs": ids.get(loss, "")}
        row |= dict.fromkeys(("gain", "gain_low", "gain_high", "p"), math.nan)
        if loss != over and (shared := sorted(base.keys() & values.keys())):
            gap = paired_difference([values[s] for s in shared], [base[s] for s in shared])
            row |= {"gain": gap.relative, "p": gap.p_value}
            row |= {"gain_low": gap.low / gap.other, "gain_high": gap.high / gap.other}
        rows.append(row)
    columns = ["loss", "ours", "low", "high", "seeds", "runs", "gain", "gain_low", "gain_high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table = table.assign(corrected=holm(list(table["p"])))
    return table.sort_values("ours", ascending=False, kind="stable", ignore_index=True)
