"""The grid: which cells an experiment has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from companion.experiments.config import cell
from companion.experiments.extra_cells import EXTRA_CELLS
from companion.reference import table
from companion.released import PaperConfig
from psl.errors import RecordError, UnknownNameError

__all__ = ["AXES", "EXPERIMENTS", "Cell", "cells", "check_names", "count_values"]

# Each experiment: what it is, and the packaged tables it fills with the setting of their rows.
# The order matters: the record of a cell that stands in several lies in the first one's file.
EXPERIMENTS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "table1": ("Table 1: IID", (("table1_iid", "iid"),)),
    "table2": ("Table 2: out of distribution", (("table2_ood", "ood"),)),
    "noise": ("Figures 2 and C.1 to C.4: noise", (("figure2_and_c1_c4_noise", "noise"),)),
    "softplus": (
        "Tables C.4, C.5 and Figures C.5 to C.8: PSL-softplus",
        (
            ("table_c4_softplus_iid", "iid"),
            ("table_c5_softplus_ood", "ood"),
            ("figures_c5_c8_softplus_noise", "noise"),
        ),
    ),
    "forms": ("Table C.6: both forms of PSL", (("table_c6_extension_forms", "iid"),)),
    "health": (
        "the laptop tier: every printed loss and backbone on Amazon-Health, and noise",
        (("followup_table2_slatk", "iid"),),
    ),
    "sensitivity": ("SL and PSL over the temperature and the number of negatives", ()),
    "temperatures": ("SL and PSL, each at its own best temperature", ()),
    "all": ("every experiment above, each run once", ()),
    "smoke": ("seconds on generated data: does everything work here?", ()),
}
SMOKE: dict[str, Any] = {"epochs": 3, "negatives": 20, "dim": 8}
# What tells two cells apart; of the last four most cells have none: tau and negatives stand here
# only where they are not the tuned ones.
AXES = ("dataset", "setting", "backbone", "loss", "form", "noise_ratio", "tau", "negatives")


@dataclass(frozen=True)
class Cell:
    """One run of the grid and what the papers print for it.

    Attributes
    ----------
    where : dict
        Place in the grid: the axes, as :func:`cell` takes them, and the seed.
    experiment : str
        Whose file its record belongs in, ``results/<experiment>.jsonl``.
    config : PaperConfig or None
        ``None`` if the papers print no hyperparameters for it; ``reason`` then says so.
    printed : dict
        Metric to printed value.
    source : str
        First packaged table it stands in; empty if it is in none.
    reason : str
    file : Path or None
        The archive of one's own that its dataset is in.
    """

    where: dict[str, Any]
    experiment: str
    config: PaperConfig | None
    printed: dict[str, float] = field(default_factory=dict)
    source: str = ""
    reason: str = ""
    file: Path | None = None


def cells(
    experiment: str,
    *,
    dataset: Sequence[str] = (),
    setting: Sequence[str] = (),
    backbone: Sequence[str] = (),
    loss: Sequence[str] = (),
    noise_ratio: Sequence[float] = (),
    tau: Sequence[float] = (),
    seeds: Iterable[int] = (0,),
    protocol: str = "released",
) -> list[Cell]:
    """Return the cells of an experiment, each once; a filter that is given keeps what it names.

    Raises
    ------
    UnknownNameError
        If the experiment does not exist, or a filter names what is not in it.
    RecordError
        If the filters leave nothing.
    """
    filters = {"dataset": dataset, "setting": setting, "backbone": backbone, "loss": loss}
    grid = _grid(experiment)
    for axis, given in filters.items():
        # One name alone is meant as one, not as its letters.
        filters[axis] = (given,) if isinstance(given, str) else given
        check_names(experiment, axis, filters[axis], [where for where, *_ in grid])
    kept = [g for g in grid if all(not v or g[0][k] in v for k, v in filters.items())]
    kept = [g for g in kept if not noise_ratio or g[0]["noise_ratio"] in noise_ratio]
    kept = [g for g in kept if not tau or _tau(g[0]) in tau]
    if not kept:
        raise RecordError(f"no cell of {experiment} fits all filters together; drop one")
    out, every = [], list(dict.fromkeys(seeds))  # an iterator gives its seeds once
    for where, home, printed, source in kept:
        for seed in every:
            config, reason = _config(where, seed, protocol)
            out.append(Cell({**where, "seed": seed}, home, config, printed, source, reason))
    return out


def check_names(
    experiment: str, axis: str, names: Iterable[str], places: Iterable[dict[str, Any]]
) -> None:
    """Refuse a name that no place of an experiment has at an axis, with an UnknownNameError."""
    known = sorted({place[axis] for place in places})
    for name in names:
        if name not in known:
            raise UnknownNameError(f"{axis} of {experiment}", name, known)


def count_values(chosen: Iterable[Cell]) -> tuple[int, int]:
    """Count the values the paper, and the follow-up, reports for these cells; seeds count once."""
    found = {
        (c.source.startswith("followup"), *(c.where[a] for a in AXES), metric)
        for c in chosen
        for metric in c.printed
    }
    later = sum(is_later for is_later, *_ in found)
    return len(found) - later, later


def _tau(where: dict[str, Any]) -> float | None:
    """Return a cell's temperature; None where the papers print no hyperparameters for it."""
    config, _ = _config(where, 0, "released")
    return config.tau if config else None


def _config(where: dict[str, Any], seed: int, protocol: str) -> tuple[PaperConfig | None, str]:
    given = {k: v for k, v in where.items() if v is not None}
    if where["dataset"] == "synthetic":
        config = PaperConfig(**given, seed=seed, protocol=protocol)
        taken = {k: v for k, v in SMOKE.items() if k not in config.ignored()}
        return replace(config, **taken), ""
    try:
        return cell(**given, seed=seed, protocol=protocol), ""
    except RecordError as error:
        return None, str(error)


def _grid(experiment: str) -> list[tuple[dict[str, Any], str, dict[str, float], str]]:
    """Return place, home, printed values and first table of every cell of an experiment."""
    if experiment not in EXPERIMENTS:
        raise UnknownNameError("experiment", experiment, EXPERIMENTS)
    whole: dict[tuple[Any, ...], tuple[dict[str, Any], str, dict[str, float], str]] = {}
    inside: set[tuple[Any, ...]] = set()
    for name in EXPERIMENTS:
        for where, printed, source in _rows(name):
            key = tuple(where[a] for a in AXES)
            _, _, known, _ = whole.setdefault(key, (where, name, {}, source))
            for metric, value in printed.items():
                known.setdefault(metric, value)
            if name == experiment or (experiment == "all" and name != "smoke"):
                inside.add(key)
    return [entry for key, entry in whole.items() if key in inside]


def _rows(name: str) -> Iterator[tuple[dict[str, Any], dict[str, float], str]]:
    """Read an experiment's tables, a printed value at a time, then what no table prints."""
    for source, setting in EXPERIMENTS[name][1]:
        for row in table(source).to_dict("records"):
            if name == "health" and row["dataset"] != "amazon-health":
                continue
            where = dict.fromkeys(AXES) | {
                "dataset": row["dataset"],
                "setting": setting,
                "backbone": row.get("backbone", "mf"),  # the appendix's figures and forms are MF
                "loss": row["loss"],
                "form": "inside" if row.get("form") == "inside" else None,
                "noise_ratio": row.get("noise_ratio"),
            }
            yield where, {str(row["metric"]): float(row["value"])}, source
    for where in EXTRA_CELLS.get(name, tuple)():
        yield dict.fromkeys(AXES) | where, {}, ""
