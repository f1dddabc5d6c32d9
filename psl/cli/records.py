"""`psl records`: what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from psl import records
from psl.cli.console import Results, err, key, out
from psl.errors import RecordError
from psl.training import RunConfig

app = typer.Typer(no_args_is_help=True, help="Run records: check, show, merge.")


@app.command("check")
def records_check(results: Results = Path("results")) -> None:
    """Verify every record: keys, schema, run id, numbers, configuration, and no run twice."""
    found = records.problems(results, _load)
    for problem in found:
        err.print(f"psl: {problem}", soft_wrap=True, highlight=False, markup=False)
    if found:
        raise typer.Exit(2)
    out.print(f"{len(records.read(results))} records in {results}: all well-formed")


def _load(config: dict[str, Any]) -> None:
    if RunConfig(**config).as_dict() != config:
        raise RecordError("it is not the one that this version writes for the same run")


@app.command("show")
def records_show(results: Results = Path("results")) -> None:
    """Show every record in a line."""
    table = Table(
        key("run"), "dataset", "model", "seed", "recall@20", "ndcg@20", "minutes", "device"
    )
    for r in records.read(results):
        c, m = r["config"], r["metrics"]
        told = [c["protocol"], *(["as released"] if c.get("as_released") else [])]
        table.add_row(
            r["run_id"],
            f"{c['dataset']} ({c['setting']})",
            f"{c['backbone']} {c['loss']} ({', '.join(told)})",
            str(c["seed"]),
            f"{m['recall@20']:.4f}",
            f"{m['ndcg@20']:.4f}",
            f"{r['seconds'] / 60:.1f}",
            r["device"],
        )
    out.print(table)


@app.command("merge")
def records_merge(
    files: Annotated[list[Path], typer.Argument(help="Files or folders of records.")],
    into: Annotated[Path, typer.Option(help="Folder that takes them.")],
) -> None:
    """Take records of other machines in; two results for one run are refused, all or nothing."""
    gained = records.merge(files, into)
    for path, count in gained.items():
        out.print(f"{count} new in {path}", soft_wrap=True)
    if not gained:
        out.print(f"nothing new: every record is in {into} already", soft_wrap=True)
