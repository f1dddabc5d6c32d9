"""The goals of speed are decided from what a run of the benchmarks measured."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from companion.speed import goals

SPEED = Path(__file__).parents[2] / "results" / "speed"


def record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SPEED / f"{name}.json").read_text())
    return found


def test_a_record_has_the_goals_that_its_numbers_give() -> None:
    kept = record("cpu-avx2-2-threads")
    found = goals(kept)
    assert found == kept["goals"] and len(found) == 4
    assert all(row["met"] == (row["found"] >= row["least"]) for row in found)
    share = found[0]
    seconds = kept["case"]["roads"]["product, then gather"]["gradient"]["ours_seconds"]
    flops = 6 * 1024 * 1000 * 64
    assert share["found"] * seconds * kept["machine"]["flops_per_second"] == pytest.approx(
        flops, rel=0.15
    ), "measured twice in one run"


def test_a_slower_ranking_misses_its_goal() -> None:
    slower = copy.deepcopy(record("cpu-avx2-2-threads"))
    for row in slower["libraries"]:
        row["ratio"] /= 2
    kept, found = (
        {g["goal"]: g["met"] for g in goals(r)} for r in (record("cpu-avx2-2-threads"), slower)
    )
    large = "ranking 40,988 items"
    assert kept[large] and not found[large]


def test_a_gpu_has_its_own_goal() -> None:
    """Of the traffic that nobody avoids: the table in, its gradient out, sampled items twice."""
    kept = record("nvidia-h200")
    (row,) = goals(kept)
    (point,) = (p for p in kept["curves"] if p["varied"] == "items" and p["items"] == 10**6)
    bytes_ = {"cache_bytes_per_second": 2 * 1024 * 1001 * 64 * 4, "bytes_per_second": 2 * 256e6}
    least = sum(size / kept["machine"][rate] for rate, size in bytes_.items())
    assert row["found"] == pytest.approx(least / point["ours_seconds"])
    assert row["least"] == 0.4 and row["met"] == (least / point["ours_seconds"] >= 0.4)


def test_a_graph_that_is_no_faster_misses_its_goal() -> None:
    work = "lightgcn, 40,988 items: a batch embedded, and the gradient"
    of = {"library": "PyTorch", "work": work}
    for ratio in (1.9, 2.1):
        result = {"machine": {}, "libraries": [{**of, "ratio": ratio}]}
        assert [g["met"] for g in goals(result)] == [ratio > 2]
