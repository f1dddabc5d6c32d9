"""The goals of speed are decided from what a run of the benchmarks measured."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.goals import goals

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


def test_a_gpu_has_no_goal_of_a_cpu() -> None:
    assert goals(record("nvidia-h200")) == []
