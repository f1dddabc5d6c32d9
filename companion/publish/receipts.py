"""The receipts that are kept, as a table: what came out on which machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from companion import receipt
from companion.records import CODE_DIGEST

__all__ = ["kept_receipts", "receipt_table"]

OURS = "companion-"  # what the names of this companion's own receipts begin with


def kept_receipts(folder: Path) -> dict[str, dict[str, Any]]:
    """Read each receipt of a folder, by its file's name; the one made last comes first.

    Raises
    ------
    RecordError
        If a file is none, or was edited.
    """
    found = {path.stem: receipt.read(path) for path in sorted(folder.glob("*.json"))}
    return dict(sorted(found.items(), key=lambda item: item[1]["created"], reverse=True))


def receipt_table(receipts: dict[str, dict[str, Any]], statuses: dict[str, str]) -> pd.DataFrame:
    """Return a row for each receipt.

    Parameters
    ----------
    receipts : dict
        As :func:`kept_receipts` returns it.
    statuses : dict
        What each row of the ledger is here, by id: :func:`companion.claims.read_statuses`.

    Returns
    -------
    DataFrame
        With the columns ``receipt``, ``whose``, ``machine``, ``versions``, ``claims`` (verdicts,
        counted), ``kernels``, ``runs again``, ``training twice``, ``minutes`` and ``beside the
        ledger`` (what is not as it is here).
    """
    rows = []
    for name, found in receipts.items():
        machine, versions = found["machine"], found["versions"]
        different = receipt.differences(found, statuses)
        same = "this psl" if found["code_digest"] == CODE_DIGEST else "another psl"
        rows.append(
            {
                "receipt": name,
                "whose": "ours" if name.startswith(OURS) else "sent in",
                "machine": f"{machine['device']}; {machine['kernels']}; {machine['system']}",
                "versions": f"Python {versions['python']}, torch {versions['torch']}, "
                f"psl {versions['psl']} ({found['code_digest']}, {same})",
                "claims": _counted(row["status"] for row in found["claims"]),
                "kernels": _counted(x["verdict"] for x in found["kernels"]),
                "runs again": _counted(x["verdict"] for x in found["reruns"]) or "none",
                "training twice": found["training"]["verdict"],
                "minutes": sum(found.get("seconds", {}).values()) / 60 or None,
                "beside the ledger": "; ".join(different) or "no difference",
            }
        )
    return pd.DataFrame(rows)


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())
