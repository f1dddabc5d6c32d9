"""The paper's grid as data: what run stands behind a cell of a table."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from psl.backbones import BACKBONES, get_backbone
from psl.datasets import get_source
from psl.errors import DataError, RecordError, UnknownNameError
from psl.losses import LOSSES, get_loss
from psl.reference import table, tuned
from psl.training import RunConfig

__all__ = [
    "EXPERIMENTS",
    "Cell",
    "cell",
    "cell_command",
    "cell_runs",
    "cells",
    "count_values",
    "runs",
    "unreachable",
]

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
        "the laptop tier: every loss and backbone on Amazon-Health, and noise",
        (("followup_table2_slatk", "iid"),),
    ),
    "all": ("every experiment above, each run once", ()),
    "smoke": ("seconds on generated data: does everything work here?", ()),
}
SMOKE: dict[str, Any] = {"epochs": 3, "negatives": 20, "dim": 8}
AXES = ("dataset", "setting", "backbone", "loss", "form", "noise_ratio")


@dataclass(frozen=True)
class Cell:
    """One run of the grid and what the papers print for it.

    Attributes
    ----------
    where : dict
        Place in the grid: the axes, as :func:`cell` takes them, and the seed.
    experiment : str
        Whose file its record belongs in, ``results/<experiment>.jsonl``.
    config : RunConfig or None
        ``None`` if the papers print no hyperparameters for it; ``reason`` then says so.
    printed : dict
        Metric to printed value.
    source : str
        First packaged table it stands in; empty if it is in none.
    """

    where: dict[str, Any]
    experiment: str
    config: RunConfig | None
    printed: dict[str, float] = field(default_factory=dict)
    source: str = ""
    reason: str = ""


def cell(
    dataset: str,
    setting: str = "iid",
    backbone: str = "mf",
    loss: str = "psl-relu",
    **changes: Any,
) -> RunConfig:
    """Return the configuration behind one printed number: tuned, 200 epochs, seed 0.

    Loss and backbone are taken as the paper's public code has them, for that code printed the
    number; ``changes`` replace single fields, e.g. ``seed`` or ``as_released=False``.

    Raises
    ------
    RecordError
        If the tables print no hyperparameters for it.
    """
    differs = "as_released" in (*get_loss(loss).options, *get_backbone(backbone).options)
    fields: dict[str, Any] = {
        "dataset": dataset,
        "setting": setting,
        "backbone": backbone,
        "loss": loss,
        "as_released": differs,
    }
    return RunConfig(**{**fields, **tuned(dataset, setting, backbone, loss), **changes})


def cell_command(config: RunConfig) -> str:
    """Return the command that records this cell."""
    if config.dataset == "synthetic":  # nothing is tuned for it: every field that is not usual
        given = {
            f.name: getattr(config, f.name)
            for f in dataclasses.fields(config)
            if getattr(config, f.name) != f.default
        }
        return " ".join(["psl train", *(f"--{k.replace('_', '-')} {v}" for k, v in given.items())])
    words = f"psl train --tuned --dataset {config.dataset} --setting {config.setting}"
    if config.noise_ratio is not None:
        words += f" --noise-ratio {config.noise_ratio:g}"
    words += f" --backbone {config.backbone} --loss {config.loss}"
    words += f" --form {config.form}" if config.form else ""
    words += " --as-released" if config.as_released else ""
    words += f" --protocol {config.protocol}" if config.protocol != "released" else ""
    return words + (f" --seed {config.seed}" if config.seed else "")


def cell_runs(records: list[dict[str, Any]], config: RunConfig) -> dict[int, dict[str, Any]]:
    """Return the records that differ from ``config`` in nothing but the seed, by seed.

    Of one seed on several devices the record made last counts.
    """
    wanted = {k: v for k, v in config.as_dict().items() if k != "seed"}
    out: dict[int, dict[str, Any]] = {}
    for record in sorted(records, key=lambda r: str(r["created"])):
        if {k: v for k, v in record["config"].items() if k != "seed"} == wanted:
            out[record["config"]["seed"]] = record
    return dict(sorted(out.items()))


def cells(
    experiment: str,
    *,
    dataset: Sequence[str] = (),
    setting: Sequence[str] = (),
    backbone: Sequence[str] = (),
    loss: Sequence[str] = (),
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
    for axis, names in filters.items():
        known = sorted({where[axis] for where, *_ in grid})
        for name in names:
            if name not in known:
                raise UnknownNameError(f"{axis} of {experiment}", name, known)
    kept = [g for g in grid if all(not v or g[0][k] in v for k, v in filters.items())]
    if not kept:
        raise RecordError(f"no cell of {experiment} fits all filters together; drop one")
    out = []
    for where, home, printed, source in kept:
        for seed in dict.fromkeys(seeds):
            config, reason = _config(where, seed, protocol)
            out.append(Cell({**where, "seed": seed}, home, config, printed, source, reason))
    return out


def runs(experiment: str, **filters: Any) -> list[RunConfig]:
    """Return the configurations of :func:`cells` that have hyperparameters."""
    return [c.config for c in cells(experiment, **filters) if c.config is not None]


def count_values(chosen: Iterable[Cell]) -> tuple[int, int]:
    """Count the values the paper, and the follow-up, reports for these cells; seeds count once."""
    found = {
        (c.source.startswith("followup"), *(c.where[a] for a in AXES), metric)
        for c in chosen
        for metric in c.printed
    }
    later = sum(is_later for is_later, *_ in found)
    return len(found) - later, later


def unreachable(dataset: str, setting: str) -> str:
    """Say why a dataset cannot be had here, as far as that shows without asking the network.

    Empty if it can: generated, in the mirror, or public.
    """
    if dataset == "synthetic":
        return ""
    try:
        source = get_source(dataset, setting)
    except (DataError, UnknownNameError) as error:
        return str(error)
    mirror = os.environ.get("PSL_DATA_MIRROR", "").strip()
    if mirror.startswith(("http://", "https://")):
        return ""
    if mirror:
        there = (Path(mirror).expanduser() / source.path).is_file()
        return "" if there else f"no file {source.path} in PSL_DATA_MIRROR"
    if source.available:
        return ""
    return f"not public; put {source.path} under a folder and set PSL_DATA_MIRROR to it"


def _config(where: dict[str, Any], seed: int, protocol: str) -> tuple[RunConfig | None, str]:
    if where["dataset"] == "synthetic":
        given = {k: v for k, v in where.items() if v is not None}
        return RunConfig(**given, **SMOKE, seed=seed, protocol=protocol), ""
    try:
        return cell(**where, seed=seed, protocol=protocol), ""
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
            where = {
                "dataset": row["dataset"],
                "setting": setting,
                "backbone": row.get("backbone", "mf"),  # the appendix's figures and forms are MF
                "loss": row["loss"],
                "form": "inside" if row.get("form") == "inside" else None,
                "noise_ratio": row.get("noise_ratio"),
            }
            yield where, {str(row["metric"]): float(row["value"])}, source
    for where in _unprinted(name):
        yield {"form": None, "noise_ratio": None, **where}, {}, ""


def _unprinted(name: str) -> Iterator[dict[str, Any]]:
    if name == "health":
        names: dict[str, Any] = {"dataset": "amazon-health", "setting": "iid"}
        for backbone in BACKBONES:
            yield from ({**names, "backbone": backbone, "loss": loss} for loss in LOSSES)
        figures = pd.concat(
            [table("figure2_and_c1_c4_noise"), table("figures_c5_c8_softplus_noise")]
        )
        names |= {"setting": "noise", "backbone": "mf"}
        for loss in figures["loss"].unique():
            for ratio in sorted(figures["noise_ratio"].unique()):
                yield {**names, "loss": loss, "noise_ratio": float(ratio)}
    if name == "smoke":
        for loss in ("bpr", "sl", "psl-relu"):
            yield {"dataset": "synthetic", "setting": "iid", "backbone": "mf", "loss": loss}
