"""How long a run will take, from those that are recorded."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from companion.datasets import DATASETS
from psl.dataset import stored_setting
from psl.training import RunConfig

__all__ = ["Estimate", "estimate", "num_pairs"]


@dataclass(frozen=True)
class Estimate:
    """Expected seconds of a run, and how they were found; ``None`` where nothing is known."""

    seconds: float | None
    basis: str


def estimate(config: RunConfig, records: Sequence[dict[str, Any]]) -> Estimate:
    """Take the time of an epoch from the most alike runs that draw as many negatives.

    Of runs of the same loss the fastest counts: whatever else a machine does only adds to the time.
    Matrix factorisation does the same for every pair, so other data tell by their number of pairs;
    with a graph a step takes longer, too, where there are more.
    """
    timed = [
        r for r in records if r.get("seconds") and r["config"].get("negatives") == config.negatives
    ]
    here, loss = {"dataset": config.dataset}, {"loss": config.loss}
    if found := _epochs(timed, here | loss | {"backbone": config.backbone}):
        seconds, basis = min(found), "records of the same dataset, backbone and loss"
    elif found := _epochs(timed, here):
        seconds, basis = statistics.median(found), "records of the same dataset"
    else:
        size, factorisation = num_pairs(config.dataset, config.setting), {"backbone": "mf"}
        basis = "records of other datasets, by their pairs"
        if config.backbone != "mf" or not size:
            return Estimate(None, "no record of this dataset")
        if found := _epochs(timed, factorisation | loss, by_pairs=True):
            seconds = min(found) * size
        elif found := _epochs(timed, factorisation, by_pairs=True):
            seconds = statistics.median(found) * size
        else:
            return Estimate(None, "no record to go by")
    return Estimate(seconds * config.epochs, basis)


def _epochs(
    records: Sequence[dict[str, Any]], axes: dict[str, str], *, by_pairs: bool = False
) -> list[float]:
    """Return the seconds of an epoch, or of one of its pairs, in the records of a place."""
    times = []
    for r in records:
        made = r["config"]
        pairs = num_pairs(made["dataset"], made["setting"]) if by_pairs else 1
        if pairs and all(made[axis] == name for axis, name in axes.items()):
            # One with patience may have stopped early: then its last validation says where.
            curve = r.get("validation_curve") or [{}]
            epochs = curve[-1].get("epoch") if made.get("patience") else None
            times.append(r["seconds"] / (epochs or made["epochs"]) / pairs)
    return times


def num_pairs(dataset: str, setting: str) -> int:
    """Return the pairs of a registered dataset; 0 for any other."""
    source = DATASETS.get((dataset, stored_setting(setting)))
    return source.interactions if source else 0
