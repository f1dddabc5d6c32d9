"""`psl claims`: the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from companion import claims
from companion.cli.console import Results, err, key, out, print_json, say

OF_RUNS = ("printed-value", "better-than", "gain-grows", "above-every")  # checks that wait for runs


def claims_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Print the smallest mistake that each check notices.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also each printed value that waits for a run.")
    ] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the statuses beside the records, for --history.")
    ] = False,
    past: Annotated[
        bool, typer.Option("--history", help="What a row said at which commit, and why it changed.")
    ] = False,
    results: Results = Path("results"),
) -> None:
    """Compute the status of every claim of the ledger."""
    if past:
        _tell_history(results, as_json)
        return
    subject = claims.Subject.real(results)
    if not subject.records:
        say(f"psl: no run record in {results}: every value waits", err)
    if mutants:
        matrix = claims.kill_matrix(subject)
        if as_json:
            print_json(matrix)
        else:
            table = Table(key("claim and mutant"), "before, after", "noticed from", show_lines=True)
            for row in matrix:
                who = Text(row["id"]).append(f"\n{row['mutant']}", style="dim")
                table.add_row(who, f"{row['before']}\n{row['after']}", _noticed(row))
            out.print(table)
        if any(row["killed"] is False for row in matrix):
            raise typer.Exit(1)
        return
    rows = claims.assess(subject)
    if save:
        say(f"psl: the statuses are in {claims.save_statuses(rows, results)}", err)
    if as_json:
        print_json(claims.published(rows))
        return
    table = Table("claim and evidence", key("status"), show_lines=True)
    folded = 0
    for r in rows:
        if not every and r["check"] in OF_RUNS and r["status"] == "not yet run":
            folded += 1
            continue
        table.add_row(Text(r["id"]).append(f"\n{r['evidence']}", style="dim"), r["status"])
    out.print(table)
    counts = {s: sum(r["status"] == s for r in rows) for s in claims.STATUSES}
    say(", ".join(f"{n} {s}" for s, n in counts.items() if n))
    if folded:
        wait = f"{folded} values and orderings wait for a run"
        say(f"{wait} and are not shown: --all, --json")


def _noticed(row: dict[str, Any]) -> str:
    if row["smallest"] is None:
        return "nothing to upset" if row["killed"] is None else "NOT NOTICED"
    return f"{row['smallest']:g} {row['unit']}" if row["unit"] else "the whole"


def _tell_history(results: Path, as_json: bool) -> None:
    changes = claims.history(results)
    if as_json:
        print_json([change._asdict() for change in changes])
        return
    table = Table("claim", key("before, after"), "commit", show_lines=True)
    for c in changes:
        why = Text(f"{c.date} {c.commit}").append(f"\n{c.why}", style="dim")
        table.add_row(c.row, f"{c.before or '-'}\n{c.after or '-'}", why)
    out.print(table)
