"""Rows on training dynamics: what decides them, what refutes them, what is no answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from companion import claims, datasets, dynamics
from companion.dynamics.weights import ACTIVATION_OF
from companion.experiments import cell
from companion.records import run_id

ROWS = {row["id"]: row for row in claims.load_rows()}
MARKED, HELD_OUT = ROWS["weight-on-marked-health"], ROWS["weight-on-held-out-health"]
TIGHT = ROWS["tighter-is-better-health"]


def trace(
    loss: str, seed: int, *, part: float = 0.1, distance: float = 3.0, ndcg: float = 0.1,
    created: str = "2026-11-30T00:00:00+00:00", **where: Any,
) -> dynamics.Trace:  # fmt: skip
    config = cell("amazon-health", loss=loss, seed=seed, **where).as_dict()
    kind = "marked" if config["setting"] == "noise" else "held out"
    point = {
        "epoch": 200, "loss": 1.0, "metrics": {"ndcg@20": ndcg},
        "share": {kind: dict.fromkeys(ACTIVATION_OF, part)}, "drawn": {kind: 0.05},
        "distance": distance, "row_weight": [1.0], "recall": [None],
    }  # fmt: skip
    source = datasets.get_source("amazon-health", config["setting"])
    return dynamics.Trace.model_validate(
        {
            "run_id": run_id(config), "config": config, "points": [point], "seconds": 1.0,
            "dataset_fingerprint": source.fingerprint, "device": "cpu", "created": created,
            "code_digest": "0" * 16, "versions": {},
        }
    )  # fmt: skip


def verdict(row: dict, traces: list[dynamics.Trace]) -> claims.Verdict:
    there = dataclasses.replace(claims.Subject.real(None), traces=traces)
    return claims.CHECKS[row["check"]](there, **row["arguments"])


def pairs(less: float, spread: float, **where: Any) -> list[dynamics.Trace]:
    """SL at 0.1, and PSL-relu below it by ``less``, more or less."""
    seeds = MARKED["arguments"]["seeds"]
    odd = np.linspace(-spread, spread, len(seeds))
    return [trace("sl", s, **where) for s in seeds] + [
        trace("psl-relu", s, part=0.1 - less + e, **where) for s, e in zip(seeds, odd, strict=True)
    ]


NOISE = {"setting": "noise", "noise_ratio": 0.5}


@pytest.mark.parametrize(
    ("less", "spread", "status"),
    [(0.02, 0.001, "reproduced"), (-0.02, 0.001, "differs"), (0.001, 0.01, "cannot tell")],
)
def test_less_weight_is_a_paired_test(less: float, spread: float, status: str) -> None:
    assert verdict(MARKED, pairs(less, spread, **NOISE)).status == status
    found = verdict(HELD_OUT, pairs(less, spread))
    assert found.status == status and found.blind
    assert f"{0.1 - less:.2%} of its weight, SL 10.00%, of the draws 5.00%" in found.evidence


def test_it_is_corrected_for_the_other_setting() -> None:
    alone = pairs(0.0012, 0.001, **NOISE)
    single = verdict(MARKED, alone)
    assert 0.025 < single.p_value < 0.05 and single.status == "cannot tell"
    # With the other question answered as clearly as can be, Holm leaves this one uncorrected.
    assert verdict(MARKED, alone + pairs(0.02, 0.001)).status == "reproduced"


def test_a_missing_run_decides_nothing_and_an_older_one_is_not_blind() -> None:
    waits = verdict(MARKED, pairs(0.02, 0.001, **NOISE)[1:])
    assert waits.status == "not yet run" and waits.evidence.endswith(
        "psl dynamics --dataset amazon-health --setting noise --noise-ratio 0.5 --loss sl "
        "--loss psl-relu --seeds 1-5"
    )
    old = pairs(0.02, 0.001, created="2026-11-29T21:08:00+00:00", **NOISE)
    assert verdict(MARKED, old).blind is False
    other = [t.model_copy(update={"dataset_fingerprint": "x"}) for t in old]
    assert verdict(MARKED, other).status == "differs"


@pytest.mark.parametrize(("sign", "status"), [(-1, "reproduced"), (1, "differs")])
def test_tightness_is_a_rank_correlation(sign: int, status: str) -> None:
    asked = TIGHT["arguments"]
    grid = [(loss, tau) for tau in asked["taus"] for loss in asked["losses"]]
    models = [
        trace(loss, 0, tau=tau, distance=3.0 + 0.1 * n, ndcg=0.1 + sign * 1e-3 * n)
        for n, (loss, tau) in enumerate(grid)
    ]
    found = verdict(TIGHT, models)
    assert found.status == status and f"correlation {sign:+.2f} over 15 models" in found.evidence
    shuffled = [
        t.model_copy(update={"points": [models[(7 * n) % 15].points[0]]})
        for n, t in enumerate(models)
    ]
    assert verdict(TIGHT, shuffled).status == status  # which model has which pair is no matter
    order = np.random.default_rng(0).permutation(15)
    mixed = [
        trace(loss, 0, tau=tau, distance=3.0 + 0.1 * n, ndcg=0.1 + 1e-3 * order[n])
        for n, (loss, tau) in enumerate(grid)
    ]
    none = verdict(TIGHT, mixed)
    assert none.status == "cannot tell" and "power 8" in none.evidence
    assert verdict(TIGHT, models[1:]).status == "not yet run"


@pytest.mark.parametrize("row", [MARKED, HELD_OUT, TIGHT])
def test_the_mutants_change_the_answer(row: dict) -> None:
    asked = TIGHT["arguments"]
    everything = pairs(0.02, 0.001) + pairs(0.02, 0.001, **NOISE)
    everything += [
        trace(loss, 0, tau=tau, distance=3.0 + 0.1 * n, ndcg=0.2 - 1e-3 * n)
        for n, (loss, tau) in enumerate((lo, t) for t in asked["taus"] for lo in asked["losses"])
    ]
    right = dataclasses.replace(claims.Subject.real(None), traces=everything)
    wrong = claims.MUTANTS[row["mutant"]].make(right, 1.0)
    statuses = [claims.CHECKS[row["check"]](s, **row["arguments"]).status for s in (right, wrong)]
    assert statuses == ["reproduced", "differs"]
