"""The ledger: each statement of the paper with a check that decides it, and a mutant of the check.

``paper/claims.yml`` holds one row a statement; the rows for orderings and printed values are made
from the grid and the tables.  A row names a check; the check looks at a :class:`Subject`, which is
the module and the run records, and returns a verdict.  A mutant is the same subject with one
deliberate mistake: it must turn the row red, and the smallest that does is told.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from companion.claims import checks  # noqa: F401  # registers them
from companion.claims.history import STATUSES_FILE, history, read_statuses, save_statuses
from companion.claims.mutants import MUTANTS
from companion.claims.ordering_rows import baseline_rows, ordering_rows
from companion.claims.power import swap_test
from companion.claims.subject import CHECKS, STATUSES, Subject, Verdict
from companion.claims.value_rows import value_rows
from psl.errors import UnknownNameError

__all__ = [
    "CHECKS",
    "MUTANTS",
    "STATUSES",
    "STATUSES_FILE",
    "Subject",
    "Verdict",
    "assess",
    "history",
    "kill_matrix",
    "load_rows",
    "published",
    "read_statuses",
    "save_statuses",
    "swap_test",
]


def load_rows() -> list[dict[str, Any]]:
    """Return the rows of the ledger: statements, orderings of losses, every printed value."""
    rows: list[dict[str, Any]] = yaml.safe_load(
        (files("companion.paper") / "claims.yml").read_text(encoding="utf-8")
    )
    rows += [*ordering_rows(), *baseline_rows(), *value_rows()]
    for row in rows:
        if row["check"] not in CHECKS:
            raise UnknownNameError("check", row["check"], CHECKS)
        if row["mutant"] not in MUTANTS:
            raise UnknownNameError("mutant", row["mutant"], MUTANTS)
    return rows


def assess(subject: Subject) -> list[dict[str, Any]]:
    """Run every check; return the rows with the fields of its verdict."""
    out = []
    for row in load_rows():
        verdict = CHECKS[row["check"]](subject, **row.get("arguments", {}))
        out.append({**row, **dataclasses.asdict(verdict)})
    return out


def published(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what of each row is for others to read: a list for JSON."""
    about = ("id", "section", "kind", "statement", "status", "check")
    wanted = (*about, "evidence", "runs", "p_value", "blind")
    return [
        {k: row[k] for k in wanted}
        | {
            "tolerance": row.get("arguments", {}).get("tolerance"),
            "from": row["tolerance_source"],
        }
        for row in rows
    ]


def kill_matrix(subject: Subject) -> list[dict[str, Any]]:
    """Run every check on its mutant in falling sizes, as far down as it notices the mistake.

    ``after`` is the status at the largest size and ``killed`` whether that is noticed, None where
    there is no evidence to upset.  ``smallest`` is the smallest size noticed, in ``unit``, found by
    halving the ladder: it takes for granted that what notices a mistake notices a larger one.
    """
    mutated = cache(lambda name, size: MUTANTS[name].make(subject, size))
    out = []
    for row in load_rows():
        check, arguments = CHECKS[row["check"]], row.get("arguments", {})
        mutant = MUTANTS[row["mutant"]]
        before = check(subject, **arguments).status

        def after(size: float, row: dict[str, Any] = row) -> str:
            found = CHECKS[row["check"]](mutated(row["mutant"], size), **row.get("arguments", {}))
            return found.status

        first, smallest, killed = after(mutant.sizes[0]), None, None
        if before not in ("not yet run", "differs"):
            killed = first == "differs"
            below = bisect_left(mutant.sizes, True, lo=1, key=lambda s: after(s) != "differs")
            smallest = mutant.sizes[below - 1] if killed else None
        out.append(
            {
                "id": row["id"],
                "mutant": row["mutant"],
                "before": before,
                "after": first,
                "killed": killed,
                "smallest": smallest,
                "unit": mutant.unit,
            }
        )
    return out
