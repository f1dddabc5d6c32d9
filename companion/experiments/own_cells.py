"""From the file of a sweep of one's own to its runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from companion import datasets
from companion.experiments.config import cell, fitting, like
from companion.experiments.grid import Cell, check_names
from companion.experiments.sweep_file import SweepFile
from companion.records import PLACE, read_trials, winners
from companion.released import PaperConfig
from psl.dataset import Dataset
from psl.errors import PSLError, RecordError

__all__ = ["own_cells"]

FILTERS = ("dataset", "setting", "backbone", "loss", "noise_ratio", "tau")


def own_cells(
    sweep: SweepFile, folder: Path, *, seeds: Sequence[int] = (), **filters: Sequence[Any]
) -> list[Cell]:
    """Return the runs of a sweep, each once.

    A field that a loss, a backbone or a setting has not is left out there, so that one grid serves
    several losses; one that no run has is refused.

    Parameters
    ----------
    sweep : SweepFile
    folder : Path
        Where the archives of one's own are looked for.
    seeds : sequence of int
        In place of those of the file.
    **filters
        Of :func:`companion.experiments.cells`: what is given keeps the runs that it names.

    Raises
    ------
    PSLError
        If a dataset is not there, a value is out of range, or the filters leave nothing.
    """
    load = cache(datasets.load)
    best = _starts(sweep.tuned, folder)
    taken: set[str] = set()
    found: dict[str, Cell] = {}
    for place in _places(sweep):
        file = _archive(place["dataset"], folder)
        if place["dataset"] == "synthetic":
            load("synthetic", place["setting"])  # it has not every setting
        elif file is None:
            datasets.get_source(place["dataset"], place["setting"])
        for point in _points(sweep):
            for seed in seeds or sweep.seeds:
                try:
                    config, used = _config(best, {**place, "seed": seed}, point)
                except RecordError as error:
                    raise PSLError(f"tuned: {error}") from None
                if file is not None:
                    data: Dataset = load(file, place["setting"])
                    config = config.for_data(data)
                taken |= used
                where = place | {"dataset": config.dataset, "noise_ratio": config.noise_ratio}
                found.setdefault(
                    config.run_id,
                    Cell(where | {"seed": seed}, sweep.name, config, file=file),
                )
    for name in (*sweep.fixed(), *sweep.values()):
        if name not in taken:
            raise PSLError(f"{name} changes nothing: no loss, backbone or setting here has it")
    return _kept(list(found.values()), sweep.name, filters)


def _places(sweep: SweepFile) -> Iterator[dict[str, Any]]:
    axes = (sweep.datasets, sweep.settings, sweep.backbones, sweep.losses)
    for values in itertools.product(*axes):
        yield dict(zip(("dataset", "setting", "backbone", "loss"), values, strict=True))


def _points(sweep: SweepFile) -> Iterator[dict[str, Any]]:
    values = sweep.values()
    for point in itertools.product(*values.values()):
        yield sweep.fixed() | dict(zip(values, point, strict=True))


def _archive(dataset: str, folder: Path) -> Path | None:
    """Return the path of an archive of one's own; it holds wherever a worker runs."""
    return (folder / dataset).resolve() if dataset.lower().endswith(".zip") else None


Start = Callable[..., PaperConfig]


def _starts(tuned: bool | str, folder: Path) -> Start:
    """Return what makes a configuration of a place and the fields that are given."""
    if tuned is True:
        return cell
    if tuned is False:
        return lambda **given: PaperConfig(**{"protocol": "clean", **given})
    best = winners(read_trials(folder / tuned))

    def found(**given: Any) -> PaperConfig:
        place = [given[k] for k in PLACE]
        # What was searched without noise or shift is what one takes there too.
        trial = best.get(tuple(place)) or best.get((place[0], "iid", *place[2:]))
        if trial is None:
            raise RecordError(f"{tuned} has no complete trial of {', '.join(place)}")
        return like(trial.config, given)

    return found


def _config(
    start: Start, place: dict[str, Any], point: dict[str, Any]
) -> tuple[PaperConfig, set[str]]:
    """Return the configuration at a point, and which of the point's fields it has."""
    place = place | {"dataset": Path(place["dataset"]).name}
    mine = fitting(place, point)
    used = set(mine)
    mine |= {"form": None} if mine.get("form") == "outside" else {}
    return start(**place, **mine), used


def _kept(found: list[Cell], name: str, filters: dict[str, Sequence[Any]]) -> list[Cell]:
    places = [c.where | {"tau": c.config.tau if c.config else None} for c in found]
    for axis in FILTERS[:4]:
        check_names(name, axis, filters.get(axis, ()), places)
    asked = [(axis, filters[axis]) for axis in FILTERS if filters.get(axis)]
    kept = [
        c
        for c, place in zip(found, places, strict=True)
        if all(place[axis] in values for axis, values in asked)
    ]
    if not kept:
        raise RecordError(f"no run of {name} fits all filters together; drop one")
    return kept
