"""What this project wants of its speed: the limits of a machine, and whether a record reaches them.

A record is what ``python -m benchmarks`` has measured, see ``results/speed/``.
"""

from __future__ import annotations

from typing import Any

from psl.kernels.dispatch import catalogue_is_cheaper

__all__ = ["COMPARED", "goals", "least_seconds"]

COMPARED = "roads"  # what the stored records call the plain implementations

# The least ratio; of which library; what its work is called; a goal.
OF_LIBRARIES = (
    (1.0, "implicit", "of 8,360 items", "ranking 8,360 items"),
    (1.5, "implicit", "of 40,988 items", "ranking 40,988 items"),
    (0.5, "implicit", "sparse-adam", "BPR epoch, sparse-adam"),
    (2.0, "PyTorch", "lightgcn, 40,988 items", "LightGCN, 40,988 items"),
    (2.0, "PyTorch", "xsimgcl, 40,988 items", "XSimGCL, 40,988 items"),
)
MANY = 1_000_000  # items


def least_seconds(machine: dict[str, Any], point: dict[str, Any]) -> tuple[str, float]:
    """Return the method that a GPU takes at a size, and the least seconds that it can take.

    Products have ``6 B |I| d`` operations.  Gathering moves ``2 B N d`` numbers of items through
    the cache, and reads a table and writes its gradient at the rate of a large copy.
    """
    if catalogue_is_cheaper(point["items"], point["negatives"], gpu=True):
        flops = 6 * point["batch"] * point["items"] * point["dim"]
        return "products", flops / machine["flops_per_second"]
    pairs = 2 * 4 * point["batch"] * (point["negatives"] + 1) * point["dim"]
    tables = 2 * 4 * point["items"] * point["dim"]
    seconds = pairs / machine["cache_bytes_per_second"]
    return "gather", seconds + tables / machine["bytes_per_second"]


def goals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each goal that a result can tell of: its words, the least, what was found.

    A share is of the time that the arithmetic alone takes, as the machine's dense product does it,
    and on a GPU of :func:`least_seconds`.  Every other is a ratio, a library's time over ours.
    """
    rows: list[dict[str, Any]] = []

    def add(goal: str, least: float, found: float) -> None:
        rows.append({"goal": goal, "least": least, "found": found, "met": found >= least})

    machine = result["machine"]
    if machine.get("cache_bytes_per_second") is not None:  # a GPU
        for p in result.get("curves", []):
            if p["varied"] == "items" and p["items"] == MANY:
                share = least_seconds(machine, p)[1] / p["ours_seconds"]
                add(f"loss and gradient, {MANY:,} items: share", 0.4, share)
    elif "case" in result:
        case = result["case"]
        alone = case["flops"] / machine["flops_per_second"]
        spent = case[COMPARED]["gather"]["gradient"]["ours_seconds"]
        add("loss and gradient: share", 0.35, alone / spent)
    for r in result.get("libraries", []):
        for least, library, words, goal in OF_LIBRARIES:
            if r["library"] == library and words in r["work"]:
                add(goal, least, r["ratio"])
    return rows
