"""One cell: its configuration, the command that records it, and its runs among the records."""

from __future__ import annotations

import dataclasses
from typing import Any

from psl.backbones import get_backbone
from psl.losses import get_loss
from psl.reference import tuned
from psl.training import RunConfig

__all__ = ["cell", "cell_command", "cell_runs"]


def cell(
    dataset: str,
    setting: str = "iid",
    backbone: str = "mf",
    loss: str = "psl-relu",
    **changes: Any,
) -> RunConfig:
    """Return the configuration behind one printed number: tuned, 200 epochs, seed 0.

    Loss and backbone are taken as the paper's public code has them, for that code printed the
    number; ``changes`` replace single fields, e.g. ``seed``, ``tau`` or ``as_released=False``.

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
    """Return the command that records this cell: every field that is not tuned or usual."""
    place = (config.dataset, config.setting, config.backbone, config.loss)
    if config.dataset == "synthetic":  # nothing is tuned for it
        return " ".join(["psl train", *_options(config, {})])
    words = ["psl train --tuned", f"--dataset {config.dataset} --setting {config.setting}"]
    if config.noise_ratio is not None:
        words.append(f"--noise-ratio {config.noise_ratio:g}")
    words.append(f"--backbone {config.backbone} --loss {config.loss}")
    said = dict(zip(("dataset", "setting", "backbone", "loss"), place, strict=True))
    known = tuned(*place) | said | {"noise_ratio": config.noise_ratio}
    return " ".join([*words, *_options(config, known)])


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


def _options(config: RunConfig, known: dict[str, Any]) -> list[str]:
    """Return an option for each field that is neither ``known`` nor what it usually is."""
    usual = {f.name: f.default for f in dataclasses.fields(config)} | known
    values = {k: v for k, v in dataclasses.asdict(config).items() if v != usual[k]}
    flags = {k: f"--{k.replace('_', '-')}" for k in values}
    return [flags[k] if v is True else f"{flags[k]} {v}" for k, v in values.items()]
