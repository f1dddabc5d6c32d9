"""The ledger: each statement of the paper with a check that decides it, and a mutant of the check.

``paper/claims.yml`` holds one row a statement; the rows for orderings and printed values are made
from the grid and the tables.  A row names a check; the check looks at a :class:`Subject`, which is
the module and the run records, and returns a verdict.  A mutant is the same subject with one
deliberate mistake: it must turn the row red.
"""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from typing import Any

import yaml

from companion.claims import checks  # noqa: F401  # registers them
from companion.claims.history import history, read_statuses, save_statuses
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
    "Subject",
    "Verdict",
    "assess",
    "history",
    "kill_matrix",
    "load_rows",
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


def kill_matrix(subject: Subject) -> list[dict[str, Any]]:
    """Run every check on its mutant; ``killed`` is None where there is no evidence to upset."""
    out = []
    mutated = {name: mutate(subject) for name, mutate in MUTANTS.items()}
    for row in load_rows():
        check, arguments = CHECKS[row["check"]], row.get("arguments", {})
        before = check(subject, **arguments).status
        after = check(mutated[row["mutant"]], **arguments).status
        undecided = before in ("not yet run", "differs")
        killed = None if undecided else after == "differs"
        out.append(
            {
                "id": row["id"],
                "mutant": row["mutant"],
                "before": before,
                "after": after,
                "killed": killed,
            }
        )
    return out
