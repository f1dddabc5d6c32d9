"""How the cost of scores, loss and gradient grows with each size, the others held."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.implementations import gather, ours
from benchmarks.measure import median_seconds
from benchmarks.problem import Problem, Size

GRID: dict[str, tuple[int, ...]] = {
    "negatives": (64, 128, 256, 512, 1024, 2048, 4096, 8192),
    "batch": (64, 128, 256, 512, 1024, 2048, 4096),
    "dim": (16, 32, 64, 128, 256),
    "items": (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
}
# The plain implementation is left out where it would need more than this for its embeddings.
MOST_BYTES = {"cpu": 2**29, "cuda": 2**31}


def curves(device: str, repeat: int, told: Callable[[str], object]) -> list[dict[str, Any]]:
    """Measure every point of the grid; the plain implementation where it fits."""
    out = []
    for name, values in GRID.items():
        for value in values:
            size = replace(Size(), **{name: value})
            problem = Problem(size, device)
            place = problem.device
            point: dict[str, Any] = {"varied": name, **size.as_dict(), "flops": size.flops}
            point["ours_seconds"] = median_seconds(partial(problem.gradient, ours), place, repeat)
            if 4 * size.batch * size.negatives * size.dim <= MOST_BYTES[place.type]:
                point["plain_seconds"] = median_seconds(
                    partial(problem.gradient, gather), place, max(repeat // 3, 1)
                )
            out.append(point)
            told(f"{name} = {value:,}: {point['ours_seconds'] * 1e3:.2f} ms")
            del problem
            gc.collect()  # a recorded graph holds memory until it is gone
    return out
