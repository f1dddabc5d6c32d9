"""What this project wants of its speed, and whether a run of the benchmarks reaches it."""

from __future__ import annotations

from typing import Any

from benchmarks.implementations import KEY

__all__ = ["goals"]

# A goal, what the work of its comparison is called, and the least ratio.
OF_IMPLICIT = (
    ("ranking 8,360 items", "of 8,360 items", 1.0),
    ("ranking 40,988 items", "of 40,988 items", 1.5),
    ("BPR epoch, sparse-adam", "sparse-adam", 0.5),
)


def goals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each goal that a result can tell of: its words, the least, what was found.

    A share is of the time that the arithmetic alone takes, as the machine's dense product does it.
    Every other is a ratio, implicit's time over ours.
    """
    rows: list[dict[str, Any]] = []

    def add(goal: str, least: float, found: float) -> None:
        rows.append({"goal": goal, "least": least, "found": found, "met": found >= least})

    machine = result["machine"]
    if machine.get("cache_bytes_per_second") is None and "case" in result:  # a CPU
        case = result["case"]
        alone = case["flops"] / machine["flops_per_second"]
        spent = case[KEY]["gather"]["gradient"]["ours_seconds"]
        add("loss and gradient: share", 0.35, alone / spent)
    for r in result.get("libraries", []):
        for goal, words, least in OF_IMPLICIT:
            if r["library"] == "implicit" and words in r["work"]:
                add(goal, least, r["ratio"])
    return rows
