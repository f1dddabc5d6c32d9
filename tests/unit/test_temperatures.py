"""Each loss at its own best temperature, on records whose gaps are known."""

from __future__ import annotations

import pytest

from companion import datasets, records
from companion.experiments import cell
from companion.temperatures import best_temperature, match, over_temperatures

HEAVY = {"dataset": "amazon-health", "setting": "noise", "noise_ratio": 0.5}
BOTH = ("psl-relu", "sl")


def record(loss: str, tau: float, seed: int, ndcg: float, validation: float) -> dict:
    config = cell(**HEAVY, loss=loss, seed=seed, tau=tau).as_dict()
    run = {"run_id": records.run_id(config), "config": config, "created": "2000-01-01"}
    run["metrics"] = {"recall@20": 2 * ndcg, "ndcg@20": ndcg}
    run["validation_curve"] = [{"ndcg@20": 0.0}, {"ndcg@20": validation}, {"ndcg@20": 0.01}]
    return {**run, "dataset_fingerprint": datasets.get_source("amazon-health").fingerprint}


def runs() -> list[dict]:
    """PSL-relu gains 0.02 at 0.1, and 0.01 once SL is at 0.07, alike on each of five seeds."""
    values = {("sl", 0.1): 0.10, ("sl", 0.07): 0.12, ("psl-relu", 0.1): 0.12}
    values["psl-relu", 0.07] = 0.13
    return [
        record(loss, tau, seed, value + 0.001 * seed * (1 + (tau == 0.1)), value)
        for (loss, tau), value in values.items()
        for seed in range(5)
    ]


def test_validation_chooses_among_temperatures_with_all_seeds() -> None:
    table = over_temperatures(runs(), BOTH, **HEAVY)
    assert len(table) == 20 and set(table["tau"]) == {0.07, 0.1}
    assert set(table["runs"]) == {run["run_id"] for run in runs()}
    assert table["validation"].max() == pytest.approx(0.13)  # the best of a curve, not its end
    assert best_temperature(table, "sl") == (0.07, 2)
    short = table[(table["loss"] != "sl") | (table["tau"] != 0.07) | (table["seed"] != 1)]
    assert best_temperature(short, "sl") == (0.1, 1)
    assert best_temperature(short, "bpr") == (None, 0)


def test_the_lost_part_of_a_gap_is_told_seed_by_seed() -> None:
    found = match(runs(), BOTH, 0.1, (0.07, 0.07), "ndcg@20", **HEAVY)
    assert found is not None and found.tuned.mean == pytest.approx(0.02)
    assert found.own.mean == pytest.approx(0.01)
    assert found.lost == pytest.approx((0.5, 0.5, 0.5))
    swapped = match(runs(), ("sl", "psl-relu"), 0.1, (0.07, 0.1), "ndcg@20", **HEAVY)
    assert swapped is not None and swapped.own.mean == pytest.approx(-0.002, abs=1e-9)


def test_without_two_common_seeds_there_is_no_comparison() -> None:
    few = [r for r in runs() if r["config"]["seed"] == 0]
    assert match(few, BOTH, 0.1, (0.07, 0.07), "ndcg@20", **HEAVY) is None
    assert over_temperatures([], BOTH, **HEAVY).empty
    assert best_temperature(over_temperatures([], BOTH, **HEAVY), "sl") == (None, 0)
