"""What this project wants of its speed, and whether a run of the benchmarks reaches it."""

from __future__ import annotations

from typing import Any

from benchmarks.implementations import KEY

__all__ = ["goals"]


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
        if r["library"] != "implicit":
            continue
        if "40,988 items" in r["work"]:
            add("ranking 40,988 items", 1.5, r["ratio"])
        elif "8,360 items" in r["work"]:
            add("ranking 8,360 items", 1.0, r["ratio"])
        elif "sparse-adam" in r["work"]:
            add("BPR epoch, sparse-adam", 0.5, r["ratio"])
    return rows
