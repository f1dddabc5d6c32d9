"""Ledger and run records for programs, each with its JSON schema."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from companion.claims import STATUSES
from companion.dynamics import FOLDER, Trace
from companion.receipt import Receipt
from companion.records import Trial, trial_files
from companion.records.schema import Digest, Record
from psl.files import replace_file

__all__ = ["Claim", "records_digest", "schemas", "write_exports"]


class Claim(BaseModel):
    """A row of the ledger, as ``psl claims --json`` prints it.

    ``p_value`` is that of a test, not corrected for any other; null where there is none.  ``blind``
    says whether the question was written before its runs; null where that is not asked.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    id: str
    section: str
    kind: str
    statement: str
    status: Literal[STATUSES]  # type: ignore[valid-type]
    check: str
    evidence: str
    runs: list[str]
    p_value: float | None
    blind: bool | None
    tolerance: float | None
    source: str = Field(alias="from")


class Measured(Trace):
    """A line of ``dynamics.jsonl``: a measured run as its file holds it."""

    digest: Digest  # of everything else in it


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of all claims, of a run, a measured run, a trial, a receipt."""
    made = {
        "claims": TypeAdapter(list[Claim]).json_schema(),
        "run": Record.model_json_schema(),
        "dynamics": Measured.model_json_schema(),
        "trial": Trial.model_json_schema(),
        "receipt": Receipt.model_json_schema(),
    }
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {name: {"$schema": draft, **schema} for name, schema in made.items()}


def _records(results: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(results.glob("*.jsonl")))


def records_digest(results: Path) -> str:
    """Return the SHA-256 of all run records, which is that of ``runs.jsonl``; 64 digits."""
    return hashlib.sha256(_records(results)).hexdigest()


def _csv(rows: Iterable[dict[str, Any]]) -> str:
    """Return rows as CSV: run ids with spaces between, nothing for what is null."""
    out = StringIO()
    names = [field.alias or name for name, field in Claim.model_fields.items()]
    table = csv.DictWriter(out, names, lineterminator="\n")
    table.writeheader()
    table.writerows({**row, "runs": " ".join(row["runs"])} for row in rows)
    return out.getvalue()


def write_exports(folder: Path, rows: list[dict[str, Any]], results: Path) -> None:
    """Write ledger and records into a folder.

    ``claims.json`` and ``claims.csv`` hold the ledger, ``runs.jsonl`` every run record in the
    files' order, ``dynamics.jsonl`` what was measured while runs trained, ``trials.jsonl`` the
    trials of searches, ``NAME.schema.json`` what a line of each, and a receipt, look like.

    Parameters
    ----------
    folder : Path
    rows : list of dict
        As :func:`companion.claims.published` returns them.
    results : Path
        Folder of the run records.
    """
    files = {
        "claims.json": json.dumps(rows, indent=1, ensure_ascii=False) + "\n",
        "claims.csv": _csv(rows),
        **{
            f"{name}.schema.json": json.dumps(schema, indent=1) + "\n"
            for name, schema in schemas().items()
        },
    }
    for name, text in files.items():
        replace_file(folder / name, text.encode())
    replace_file(folder / "runs.jsonl", _records(results))
    measured = sorted((results / FOLDER).glob("*.json"))
    replace_file(folder / "dynamics.jsonl", *(path.read_bytes() for path in measured))
    tried = trial_files(results)
    replace_file(folder / "trials.jsonl", *(path.read_bytes() for path in tried))
