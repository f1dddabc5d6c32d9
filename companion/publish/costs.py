"""The cheapest command that checks a claim: what it took where it was measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from companion.dynamics import Trace
from companion.experiments import cell_command
from companion.released import PaperConfig

__all__ = ["Cost", "costs"]


class Cost(NamedTuple):
    """What checking a claim took.

    Attributes
    ----------
    row : dict
        Of the ledger, as :func:`companion.claims.assess` returns it.
    command : str
    seconds : float
        Of all runs of the command, one after the other.
    peak_memory_bytes : int or None
        Of the largest; of the process on a CPU, of the GPU's own memory there.
    data : str
        Dataset and setting; empty where none is needed.
    device : str
        Where that was measured, in a record's words.
    """

    row: dict[str, Any]
    command: str
    seconds: float
    peak_memory_bytes: int | None
    data: str
    device: str


def costs(
    rows: Iterable[dict[str, Any]],
    records: Iterable[dict[str, Any]],
    receipt: dict[str, Any],
    traces: Iterable[Trace] = (),
) -> list[Cost]:
    """Return the cost of each claim that is decided, the cheapest first.

    A printed value takes one run, the quickest that is recorded; an ordering all of its runs; what
    needs no training is computed together, as the receipt measured it.

    Parameters
    ----------
    rows : iterable of dict
        As :func:`companion.claims.assess` returns them; those that wait for runs are left out.
    records : iterable of dict
    receipt : dict
        As :func:`companion.receipt.read` returns it, with ``seconds``.
    traces : iterable of Trace
        The runs of ``psl dynamics``, which are others than the records' of the same id.
    """
    traced: dict[str, dict[str, Any]] = {t.run_id: t.model_dump() for t in traces}
    runs: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda r: float(r["seconds"]), reverse=True):
        runs[record["run_id"]] = record  # of one run on several devices the quickest stays
    theory = (
        "psl claims",
        receipt["seconds"]["claims"],
        receipt["peak_memory_bytes"],
        "",
        receipt["machine"]["device"],
    )
    out = []
    for row in rows:
        if row["status"] == "not yet run":
            continue  # with some of its runs, maybe
        command = row.get("arguments", {}).get("command", "")
        known = traced if command.startswith("psl dynamics") else runs
        of_row = [known[name] for name in row["runs"]]
        out.append(_of_runs(row, of_row) if of_row else Cost(row, *theory))
    return sorted(out, key=lambda cost: cost.seconds)


def _of_runs(row: dict[str, Any], runs: list[dict[str, Any]]) -> Cost:
    command = row.get("arguments", {}).get("command")
    if command is None:  # one run is enough
        runs = [min(runs, key=lambda r: float(r["seconds"]))]
        command = cell_command(PaperConfig(**runs[0]["config"]))
    memory = [m for r in runs if (m := r.get("peak_memory_bytes")) is not None]
    config = runs[0]["config"]
    return Cost(
        row,
        command,
        sum(r["seconds"] for r in runs),
        max(memory, default=None),
        f"{config['dataset']} ({config['setting']})",
        "; ".join(sorted({r["device"] for r in runs})),
    )
