"""One cell: its configuration, the command that records it, and its runs among the records."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from companion.records import PLACE, by_time
from companion.reference import tuned
from companion.released import PaperConfig, has_released
from psl.errors import RecordError
from psl.training import RunConfig

__all__ = [
    "FROM_DATA",
    "cell",
    "cell_command",
    "cell_runs",
    "fitting",
    "like",
    "plain_command",
    "switch",
]

FROM_DATA = ("dataset_fingerprint",)  # fields that no option gives
# What `psl train` calls a field that is false, and one that is true, where it is not --no- and --.
SWITCHES = {
    "as_released": ("--as-published", "--as-released"),
    "drop_marked": ("--keep-marked", "--drop-marked"),
    "mark_per_user": ("--mark-pairs", "--mark-per-user"),
}


def cell(
    dataset: str,
    setting: str = "iid",
    backbone: str = "mf",
    loss: str = "psl-relu",
    **changes: Any,
) -> PaperConfig:
    """Return the configuration behind one printed number: tuned, 200 epochs, seed 0.

    Loss and backbone are taken as the paper's public code has them, the nearest there is to what
    printed the number.  Under noise a tenth of each user's pairs is marked, and a marked pair is no
    positive any more: the reading that the paper's figures are nearest to.  ``changes`` replace
    single fields, e.g. ``seed`` or ``as_released=False``.

    Raises
    ------
    RecordError
        If the tables print no hyperparameters for it.
    """
    fields: dict[str, Any] = {
        "dataset": dataset,
        "setting": setting,
        "backbone": backbone,
        "loss": loss,
        "as_released": has_released(loss, backbone),
        "drop_marked": setting == "noise",
        "mark_per_user": setting == "noise",
    }
    return PaperConfig(**{**fields, **tuned(dataset, setting, backbone, loss), **changes})


def fitting(place: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some fields that the loss, backbone and setting of a place have.

    Raises
    ------
    TrainingError
        If the place is none, or the setting noise is without a ratio.
    """
    mine = dict(values)
    if place["setting"] != "noise":
        mine.pop("noise_ratio", None)
    if not has_released(place["loss"], place["backbone"]):
        mine.pop("as_released", None)
    decide = {k: mine[k] for k in ("noise_ratio", "as_released") if k in mine}
    ignored = PaperConfig(**place, **decide).ignored()
    return {k: v for k, v in mine.items() if k not in ignored}


def like(recorded: Mapping[str, Any], changes: Mapping[str, Any]) -> PaperConfig:
    """Return the configuration of a record with some fields changed.

    What the record has and another loss, backbone or setting has not is left behind; so is the
    fingerprint of the data where another dataset is named.
    """
    place = {k: changes.get(k, recorded[k]) for k in PLACE}
    kept = {k: v for k, v in recorded.items() if k not in PLACE}
    if place["dataset"] != recorded["dataset"]:
        kept = {k: v for k, v in kept.items() if k not in FROM_DATA}
    own = {k: v for k, v in changes.items() if k not in PLACE}
    decide = {k: v for k, v in own.items() if k in ("noise_ratio", "as_released")}
    return PaperConfig(**{**place, **fitting(place, {**kept, **decide}), **own})


def cell_command(config: PaperConfig) -> str:
    """Return the command that makes this run: an option for every field that is not usual.

    What is usual is the tuned cell of the same place (``--tuned``); where nothing is tuned, or no
    option could take back what is, the fields' defaults.
    """
    place = {k: getattr(config, k) for k in PLACE}
    try:
        options = _options(config, cell(**place, noise_ratio=config.noise_ratio))
    except RecordError:
        return plain_command(config)
    words = ["psl train --tuned"]
    for name in (*PLACE[:2], "noise_ratio", *PLACE[2:]):
        value = getattr(config, name)
        words += [] if value is None else [_option(name, value)]
    return " ".join([*words, *options])


def plain_command(config: PaperConfig) -> str:
    """Return the command that makes this run without ``--tuned``."""
    return " ".join(["psl train", *_options(config, PaperConfig())])


def cell_runs(records: list[dict[str, Any]], config: RunConfig) -> dict[int, dict[str, Any]]:
    """Return the records that differ from ``config`` in nothing but the seed, by seed.

    Of one seed on several devices the record made last counts.
    """
    wanted = {k: v for k, v in config.as_dict().items() if k != "seed"}
    out: dict[int, dict[str, Any]] = {}
    for record in by_time(records):
        if {k: v for k, v in record["config"].items() if k != "seed"} == wanted:
            out[record["config"]["seed"]] = record
    return dict(sorted(out.items()))


def _options(config: PaperConfig, usual: PaperConfig) -> list[str]:
    """Return an option for each field that differs; RecordError for one that no option can say."""
    before, values = dataclasses.asdict(usual), dataclasses.asdict(config)
    differs = {k: v for k, v in values.items() if v != before[k] and k not in FROM_DATA}
    return [_option(name, value) for name, value in differs.items()]


def switch(name: str) -> tuple[str, str]:
    """Return the options of a field that is false or true, in this order."""
    dashed = name.replace("_", "-")
    return SWITCHES.get(name, (f"--no-{dashed}", f"--{dashed}"))


def _option(name: str, value: Any) -> str:
    if value is None:
        raise RecordError(f"no option of psl train takes {name} back")
    if isinstance(value, bool):
        return switch(name)[value]
    return f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
