"""`psl receipt`: what comes out on this machine, in a file; and what such a file says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from companion import receipt
from companion.claims import STATUSES_FILE, read_statuses
from companion.cli.console import Device, Results, err, say
from companion.locks import write
from companion.records import CODE_DIGEST
from companion.writable import check_writable
from psl.errors import PSLError, RecordError

app = typer.Typer(
    invoke_without_command=True, help="Recompute for five minutes, and write what came out."
)


@app.callback()
def receipt_command(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("receipt.json"),
    force: Annotated[bool, typer.Option("--force", help="Replace --output.")] = False,
    device: Device = "auto",
    results: Results = Path("results"),
) -> None:
    """Recompute for about five minutes, and write what came out to a file.

    The ledger's rows that need no training, the kernels' self-test, recorded runs as far as their
    first validation (where their data is here), a small training twice. Of the machine it says the
    processor's kind, threads or GPU, system and versions. Nothing is sent.
    """
    if context.invoked_subcommand is not None:
        return
    check_writable(output)
    if output.exists() and not force:
        raise PSLError(f"{output} is there; --force replaces it")
    try:
        made = receipt.make(results, device=device, progress=lambda what: say(f"{what} ...", err))
    except KeyboardInterrupt:
        say("stopped; nothing was written", err)
        raise typer.Exit(130) from None
    write(output, (json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode())
    _tell(made)
    say(f"the receipt is in {output}; `psl receipt check {output}` reads it")


@app.command("check")
def receipt_check(
    file: Annotated[Path, typer.Argument(help="A receipt, of this machine or another.")],
    results: Results = Path("results"),
) -> None:
    """Verify a receipt, and compare its verdicts with those that stand here.

    Exit status 2 where it is none, was edited, or says another thing.
    """
    found = receipt.read(file)
    statuses = results / STATUSES_FILE
    if not statuses.is_file():
        raise RecordError(f"{statuses}: no such file; `psl claims --save` writes it")
    _tell(found)
    if found["code_digest"] != CODE_DIGEST:
        say(f"note: it was made with another psl, digest {found['code_digest']}", err)
    different = receipt.differences(found, read_statuses(statuses.read_text(encoding="utf-8")))
    for line in different:
        say(line)
    say(f"{len(different)} differences" if different else "whole, and as it is here")
    if different:
        raise typer.Exit(2)


def _tell(found: dict[str, Any]) -> None:
    machine = found["machine"]
    say(f"{machine['device']}, {machine['kernels']}, {machine['system']}, {found['created']}")
    counts = Counter(row["status"] for row in found["claims"])
    say(f"claims that need no training: {_counted(counts)}")
    for kind in ("kernels", "reruns"):
        counts = Counter(x["verdict"] for x in found[kind])
        say(f"{kind}: {_counted(counts) or 'none; the data of no recorded run is here'}")
    say(f"a small training, twice: {found['training']['verdict']}")


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {what}" for what, n in counts.items())
