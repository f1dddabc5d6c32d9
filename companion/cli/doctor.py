"""`psl doctor`: is everything here, and what to do where it is not."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from companion import doctor
from companion.cli.console import err, key, out, print_json, say

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
LOOKS = {
    "software": doctor.software_findings,
    "machine": doctor.machine_findings,
    "data": doctor.data_findings,
    "kernels": doctor.kernel_findings,
}


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Look at Python, PyTorch, kernels, threads, GPU, memory, disk and data.

    Exit status 2 if something fails. Nothing is written, fetched or sent.
    """
    if not as_json:
        say(
            "testing the kernels too; the first time they are compiled, which can take minutes", err
        )
    found = [x for name, look in LOOKS.items() for x in doctor.examine(name, look)]
    if as_json:
        print_json([x._asdict() for x in found])
    else:
        table = Table(key("what"), key("status"), "found, and what to do", show_lines=False)
        for x in found:
            text = Text(x.text).append(f"\n{x.remedy}" if x.remedy else "", style="bold")
            table.add_row(x.name, Text(x.status, style=COLOURS[x.status]), text)
        out.print(table)
        counts = {s: sum(x.status == s for x in found) for s in COLOURS}
        say(", ".join(f"{n} {s}" for s, n in counts.items() if n))
    if any(x.status == "fail" for x in found):
        raise typer.Exit(2)
