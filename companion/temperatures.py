"""Two losses each at its own best temperature, beside both at the one tuned on clean data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from companion.experiments import cell_runs, cells
from companion.records import of_registered_data
from companion.statistics import PairedDifference, paired_difference
from companion.tables import gain
from psl.training import RunConfig

__all__ = ["Matched", "best_temperature", "best_validation", "match", "over_temperatures"]

CHOSEN_BY = "ndcg@20"  # of the validation set


@dataclass(frozen=True)
class Matched:
    """What one loss gains on another at two choices of temperature.

    ``tuned``: both at the temperature tuned on clean data; ``own``: each at its best here.
    ``lost``: of the first gap, the part that the second lacks, seed by seed, in parts of the mean
    of the first, with the ends of its 95 % interval; its ``relative`` has no meaning.
    """

    tuned: PairedDifference
    own: PairedDifference
    lost: tuple[float, float, float]


def best_validation(run: dict[str, Any]) -> float:
    """Return the best validation score of a run."""
    return float(max(point[CHOSEN_BY] for point in run["validation_curve"]))


def over_temperatures(
    records: list[dict[str, Any]], losses: Sequence[str], **where: Any
) -> pd.DataFrame:
    """Return a row for each recorded run of the temperature grid.

    Parameters
    ----------
    records : list of dict
    losses : sequence of str
    **where
        Filters of :func:`companion.experiments.cells`: ``dataset``, ``setting``, ``noise_ratio``.

    Returns
    -------
    DataFrame
        ``loss``, ``tau``, ``seed``, ``runs`` (the id of its one run), ``validation`` (its best
        validation NDCG@20) and the test metrics.
    """
    rows = []
    for place, config in _grid(losses, where):
        for seed, run in cell_runs(of_registered_data(records), config).items():
            row = {"loss": place["loss"], "tau": config.tau, "seed": seed, "runs": run["run_id"]}
            rows.append(row | {"validation": best_validation(run)} | run["metrics"])
    return pd.DataFrame(rows, columns=None if rows else ["loss", "tau", "seed", "validation"])


def best_temperature(
    runs: pd.DataFrame, loss: str, seeds: Sequence[int] = (0, 1, 2)
) -> tuple[float | None, int]:
    """Return the temperature of the highest mean validation score, and among how many it is.

    Only temperatures with all of ``seeds`` count; without one it is ``None``, of 0.
    """
    mine = runs[(runs["loss"] == loss) & runs["seed"].isin(seeds)].groupby("tau")["validation"]
    means = mine.mean()[mine.size() == len(seeds)]
    best = means.idxmax() if len(means) else None
    return None if best is None else float(str(best)), len(means)


def match(
    records: list[dict[str, Any]],
    losses: tuple[str, str],
    tuned: float,
    own: tuple[float, float],
    metric: str,
    **where: Any,
) -> Matched | None:
    """Compare two losses, first over second, at a shared temperature and each at its own.

    Parameters
    ----------
    records, where
        As :func:`over_temperatures`.
    losses : (str, str)
    tuned : float
        The shared temperature.
    own : (float, float)
        In the order of ``losses``.
    metric : str

    Returns
    -------
    Matched or None
        ``None`` where fewer than two seeds have all four runs.
    """
    at = {(config.loss, config.tau): config for _, config in _grid(losses, where)}
    both = [at[loss, tuned] for loss in losses]
    best = [at[loss, tau] for loss, tau in zip(losses, own, strict=True)]
    runs = [cell_runs(of_registered_data(records), config) for config in (*both, *best)]
    seeds = sorted(set.intersection(*(set(r) for r in runs)))
    if len(seeds) < 2:
        return None
    values = np.array([[r[seed]["metrics"][metric] for seed in seeds] for r in runs])
    before, after = values[0] - values[1], values[2] - values[3]
    gap = paired_difference(before, after)
    size = float(before.mean())
    lost = gap.mean / size, gap.low / size, gap.high / size
    first, second = (gain(records, pair[0], pair[1], metric) for pair in (both, best))
    assert first is not None and second is not None  # they share seeds
    return Matched(first, second, lost)


def _grid(losses: Sequence[str], where: dict[str, Any]) -> list[tuple[dict[str, Any], RunConfig]]:
    filters: dict[str, Any] = {k: [v] for k, v in where.items() if v is not None}
    found = cells("temperatures", **filters | {"loss": [*losses]})
    return [(place.where, place.config) for place in found if place.config is not None]
