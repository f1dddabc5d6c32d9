"""The goals of speed are decided from what a run of the benchmarks measured."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import library, trainer
from companion.speed import goals
from psl.kernels import dispatch
from psl.models import graph

SPEED = Path(__file__).parents[2] / "results" / "speed"


def record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SPEED / f"{name}.json").read_text())
    return found


def test_a_record_has_the_goals_that_its_numbers_give() -> None:
    kept = record("cpu-avx2-2-threads")
    found = goals(kept)
    assert found == kept["goals"] and len(found) == 6
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


def test_a_batch_of_a_graph_is_taken_by_torch_and_by_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The two that are compared do the same work, and only one of them meets a kernel."""
    served: list[bool] = []

    def choose(*given: Any) -> Any:
        kernel = dispatch.choose(*given)
        served.append(kernel is not None)
        return kernel

    def turns(plain: Any, ours: Any, *_: Any) -> dict[str, Any]:
        products = []
        for one in (plain, ours):
            served.clear()
            one()
            products.append(list(served))
        assert len(products[0]) == len(products[1]) > 0
        assert not any(products[0]) and all(products[1])
        return {"ratio": 2.5}

    monkeypatch.setattr(graph, "choose", choose)
    monkeypatch.setattr(library, "in_turns", turns)
    monkeypatch.setitem(trainer.SIZES, "gowalla", (50, 40_988, 400, 60))
    rows = library.graph_steps(1)
    assert len(goals({"machine": {}, "libraries": rows})) == 2, "both have a goal"
