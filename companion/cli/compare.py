"""`psl compare`: configurations over seeds, from exported files or from records."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Column, Table

from companion import records
from companion.cli.console import Device, key, out, print_json, say
from companion.comparison import Compared, Run, compare
from companion.serving import measure, read_exported
from psl.errors import DataError
from psl.training.device import find_device

Files = Annotated[
    list[Path],
    typer.Argument(
        help="Files of `psl train --save`, or files or folders of records; the first file's "
        "configuration is what the others are compared with."
    ),
]


def compare_command(
    files: Files,
    metric: Annotated[str, typer.Option(help="What is compared.")] = "ndcg@20",
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare configurations, each over its seeds, with intervals over the seeds in common.

    A saved file is measured on the test part of its data, without what is known before.
    """
    saved = [file.suffix.lower() == ".safetensors" for file in files]
    if any(saved) and not all(saved):
        raise DataError(
            "give saved files or records, not both: a record may have masked other pairs at test"
        )
    found = _of_files(files, metric, device) if all(saved) else _of_records(files, metric)
    rows = compare(found)
    if as_json:
        print_json({"metric": metric, "configurations": [row_as_json(row) for row in rows]})
        return
    out.print(comparison_table(rows, metric))
    if len(rows) > 1:
        say(what_gain_is(rows))


def _of_files(files: list[Path], metric: str, device: str) -> list[Run]:
    runs, where = [], find_device(device)
    for file in files:
        model = read_exported(file, where)
        if model.fitted_whole:
            raise DataError(f"{file} was fitted on the test pairs too: nothing is new to it")
        data = model.training_data()
        k = metric.partition("@")[2]
        cutoff = int(k) if k.isdecimal() and int(k) else 20
        kept = model.kept
        values = measure(kept.users, kept.items, data.test, data.known, (cutoff,)).means()
        runs.append(Run(str(file), model.config, data.fingerprint, _value(values, metric, file)))
    return runs


def _of_records(files: list[Path], metric: str) -> list[Run]:
    return [
        Run(
            f"{file} ({record['run_id']})",
            record["config"],
            record["dataset_fingerprint"],
            _value(record["metrics"], metric, file),
        )
        for file in files
        for record in records.read(file)
    ]


def _value(values: dict[str, float], metric: str, file: Path) -> float:
    if metric not in values:
        raise DataError(f"{file} has no {metric}; there are {', '.join(values)}")
    return values[metric]


def what_gain_is(rows: list[Compared]) -> str:
    """Say what the column *gain* of the table is."""
    return (
        f"gain: over {rows[0].name}, on the seeds that both have, with a 95 % t-interval of the "
        "paired differences"
    )


def comparison_table(rows: list[Compared], metric: str, title: str | None = None) -> Table:
    """Lay out configurations over their seeds: eighty columns hold short names."""
    heads = ("seeds", metric, "gain", "difference", "95 % interval", "pairs")
    table = Table(
        key("configuration"),
        *(Column(head, justify="right", no_wrap=True) for head in heads),
        title=title,
        title_justify="left",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    for row in rows:
        gap, cells = row.gap, [str(len(row.seeds)), f"{row.own.mean:.4f}"]
        if gap is None:
            cells += ["", "", "" if row is rows[0] else "no seed in common", ""]
        else:
            ends = f"{gap.low:+.4f} to {gap.high:+.4f}" if gap.count > 1 else "one pair"
            cells += [f"{gap.relative:+.2%}", f"{gap.mean:+.4f}", ends, str(gap.count)]
        table.add_row(row.name, *cells)
    return table


def row_as_json(row: Compared) -> dict[str, Any]:
    """Return a configuration for a program to read; what is not finite is ``None``."""

    def numbers(x: Any, *names: str) -> dict[str, float | None]:
        return {n: v if math.isfinite(v := getattr(x, n)) else None for n in names}

    told = {"name": row.name, "seeds": row.seeds, **numbers(row.own, "mean", "low", "high")}
    names = ("mean", "low", "high", "relative", "p_value", "count")
    return told | {"difference": None if row.gap is None else numbers(row.gap, *names)}
