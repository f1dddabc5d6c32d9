"""Configurations side by side, each over its seeds: the first against every other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from companion.records import differing, run_id
from companion.statistics import Interval, PairedDifference, interval, paired_difference
from psl.errors import DataError

__all__ = ["Compared", "Run", "compare"]

# Runs that differ in these answer other questions.
SAME = ("dataset", "setting", "noise_ratio", "dataset_fingerprint")


class Run(NamedTuple):
    """One run: where it comes from, its configuration, the fingerprint of its data, its value."""

    source: str
    config: Mapping[str, Any]
    fingerprint: str
    value: float


@dataclass(frozen=True)
class Compared:
    """A configuration over its seeds.

    Attributes
    ----------
    name : str
        What tells it from the others.
    seeds : tuple of int
    own : Interval
        Mean over the seeds, with its t-interval.
    gap : PairedDifference or None
        To the first configuration on the seeds that both have; ``None`` for the first itself, and
        where they share none.
    """

    name: str
    seeds: tuple[int, ...]
    own: Interval
    gap: PairedDifference | None


def compare(runs: Sequence[Run]) -> list[Compared]:
    """Compare configurations, in the order in which they come, with the first.

    Runs that are alike but for the seed are of one configuration.

    Raises
    ------
    DataError
        If there is no run, they are of other data, or a configuration has a seed twice.
    """
    if not runs:
        raise DataError("no run, nothing to compare")
    first = runs[0]
    for run in runs:
        told = {key: run.config.get(key) for key in SAME} | {"data": run.fingerprint}
        for key, value in told.items():
            other = first.fingerprint if key == "data" else first.config.get(key)
            if value != other:
                raise DataError(
                    f"{run.source} is of other data than {first.source} ({key} {value}, not "
                    f"{other}): their numbers do not compare"
                )
    groups: dict[str, dict[int, Run]] = {}
    for run in runs:
        place = {key: value for key, value in run.config.items() if key != "seed"}
        seeds, seed = groups.setdefault(run_id(place), {}), int(run.config["seed"])
        if seed in seeds:
            raise DataError(f"{run.source} and {seeds[seed].source} are of one run: give it once")
        seeds[seed] = run
    configs = [next(iter(group.values())).config for group in groups.values()]
    apart = [key for key in differing(configs) if key != "seed"] or ["loss"]
    out: list[Compared] = []
    base = next(iter(groups.values()))
    for group, config in zip(groups.values(), configs, strict=True):
        shared = sorted(base.keys() & group.keys())
        own, its = ([side[seed].value for seed in shared] for side in (group, base))
        gap = paired_difference(own, its) if shared and group is not base else None
        words = (f"{key.replace('_', ' ')} {config[key]}" for key in apart if key in config)
        mean = interval([run.value for run in group.values()])
        out.append(Compared(", ".join(words), tuple(sorted(group)), mean, gap))
    return out
