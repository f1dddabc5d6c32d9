"""Losses under one budget: counted by hand, and by every order in which the trials could come."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from companion.benchmark import best_of, budgets, searches, winners_tested
from companion.records import Trial
from companion.released import PaperConfig
from run_records import record, sealed

SCORES = [0.3, 0.1, 0.2, 0.5, 0.4, 0.2, 0.0]


@pytest.mark.parametrize("count", range(1, len(SCORES) + 1))
def test_the_best_of_a_smaller_budget_is_that_over_all_sets(count: int) -> None:
    every = sorted(max(drawn) for drawn in itertools.combinations(SCORES, count))
    mean, low, high = best_of(SCORES, count)
    assert mean == pytest.approx(np.mean(every))
    assert low == every[math.ceil(0.1 * len(every) - 1e-9) - 1]
    assert high == every[math.ceil(0.9 * len(every) - 1e-9) - 1]


@pytest.mark.parametrize("count", [0, 8, -1])
def test_a_budget_that_was_not_spent_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 7"):
        best_of(SCORES, count)


def trial(loss: str, number: int, score: float | None, state: str = "complete") -> Trial:
    config = PaperConfig(loss=loss, protocol="clean", lr=round(0.1 * (number + 1), 1))
    return Trial(
        search="0" * 16,
        number=number,
        fields=["lr"],
        dataset_fingerprint="a" * 64,
        config=config.as_dict(),
        state=state,  # type: ignore[arg-type]
        score=score,
        epoch=1,
        seconds=2.0,
        made={},
    )


TRIALS = [
    trial("sl", 0, 0.2),
    trial("bpr", 0, 0.1),
    trial("sl", 1, 0.25),
    trial("bpr", 1, None, "diverged"),
    trial("sl", 2, 0.9, "pruned"),
    trial("bpr", 2, 0.3),
]


def test_a_search_is_a_row_and_a_trial_that_found_nothing_counts() -> None:
    table = searches(TRIALS, "synthetic").set_index("loss")
    assert list(table.index) == ["bpr", "sl"]
    assert tuple(table.loc["sl", ["trials", "pruned", "diverged", "best", "found"]]) == (
        3,
        1,
        0,
        0.25,
        2,
    )
    assert table.loc["bpr", "values"] == {"lr": 0.3} and table.loc["bpr", "seconds"] == 6.0
    found = budgets(TRIALS, "synthetic").set_index(["loss", "trials"])
    assert found.loc[("bpr", 1), "mean"] == pytest.approx((0.1 + 0.0 + 0.3) / 3)
    assert found.loc[("bpr", 3), "mean"] == pytest.approx(0.3)
    assert budgets(TRIALS, "amazon-health").empty


def run(loss: str, seed: int, ndcg: float, lr: float) -> dict[str, Any]:
    config = PaperConfig(loss=loss, protocol="clean", lr=lr, seed=seed)
    return sealed(record(config=config.as_dict(), metrics={"recall@20": ndcg, "ndcg@20": ndcg}))


def test_the_winners_are_compared_on_seeds_that_the_search_had_not() -> None:
    ours, others = [0.21, 0.24, 0.22], [0.31, 0.30, 0.34]
    runs = [run("sl", seed, x, 0.2) for seed, x in enumerate(ours, 1)]
    runs += [run("bpr", seed, x, 0.3) for seed, x in enumerate(others, 1)]
    runs += [run("sl", 0, 0.9, 0.2), run("sl", 4, 0.9, 0.1), run("bpr", 5, 0.4, 0.3)]
    table = winners_tested(TRIALS, runs, "synthetic").set_index("loss")
    assert list(table.index) == ["bpr", "sl"]
    assert table.loc["sl", "ours"] == pytest.approx(np.mean(ours))
    assert table.loc["bpr", "ours"] == pytest.approx(np.mean([*others, 0.4]))
    gaps = np.subtract(others, ours)  # of the seeds that both have
    assert table.loc["bpr", "gain"] == pytest.approx(gaps.mean() / np.mean(ours))
    assert table.loc["bpr", "p"] == pytest.approx(stats.ttest_rel(others, ours).pvalue)
    assert math.isnan(table.loc["sl", "gain"]) and table.loc["sl", "seeds"] == 3
    assert winners_tested(TRIALS, [], "synthetic").empty
    floor = {1: 0.4, 2: 0.41, 3: 0.45, 9: 0.9}
    more = winners_tested(TRIALS, runs, "synthetic", others={"ease": floor}).set_index("loss")
    shared = [floor[seed] for seed in (1, 2, 3)]
    assert more.loc["ease", "p"] == pytest.approx(stats.ttest_rel(shared, ours).pvalue)
    assert more.loc["bpr", "corrected"] == pytest.approx(
        max(more.loc["bpr", "p"], 2 * min(more.loc["bpr", "p"], more.loc["ease", "p"]))
    )
