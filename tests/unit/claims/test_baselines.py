"""PSL-relu above every baseline: all have to pass, one that is ahead refutes it."""

from __future__ import annotations

import pytest

from companion import claims
from ledger import other_data, record, subject

BASELINES = ("bpr", "llpauc", "sl", "advinfonce", "bsl")
(ROW,) = (r for r in claims.load_rows() if r["id"] == "iid-electronic-psl-relu-above-every-ndcg")
check = claims.CHECKS["above-every"]


def runs(**gains: float) -> list[dict]:
    """Three seeds of PSL-relu and of each baseline, which it is ahead of by so much."""
    ours = [record("psl-relu", 0.05 + 1e-4 * s, s) for s in range(3)]
    # A little spread of its own, so that a gap has an interval.
    for loss, gain in gains.items():
        ours += [record(loss, 0.05 + 1e-4 * s - gain * (1 + 0.01 * s), s) for s in range(3)]
    return ours


def status(*rows: dict) -> str:
    return check(subject(*rows), **ROW["arguments"]).status


def test_every_baseline_has_to_be_below() -> None:
    ahead = dict.fromkeys(BASELINES, 0.001)
    assert status(*runs(**ahead)) == "reproduced"
    level = runs(**{**ahead, "bsl": 0.0})
    level[-1] = record("bsl", 0.0503, 2)
    told = check(subject(*level), **ROW["arguments"])
    assert told.status == "cannot tell" and "; over bsl power " in told.evidence
    assert told.evidence.endswith("for the printed gain of +2.1%")
    verdict = check(subject(*runs(**{**ahead, "bsl": -0.001})), **ROW["arguments"])
    assert verdict.status == "differs" and verdict.evidence.startswith("behind bsl")
    assert "its gain on bsl -2" in verdict.evidence  # the worst first


def test_one_baseline_ahead_decides_before_the_others_are_run() -> None:
    assert status(*runs(bsl=0.001)) == "not yet run"
    assert status(*runs(bsl=-0.001)) == "differs"
    weak = runs(bsl=-0.001)
    weak[-1] = record("bsl", 0.0503, 2)  # p 0.02 alone, and any of five may be the one
    assert status(*weak) == "not yet run"


def test_runs_of_other_data_are_refused() -> None:
    rows = runs(**dict.fromkeys(BASELINES, 0.001))
    assert status(other_data(rows[0]), *rows[1:]) == "differs"


@pytest.mark.parametrize("metric", ["ndcg", "recall"])
def test_there_is_a_row_for_each_cell_of_the_tables(metric: str) -> None:
    ids = [r["id"] for r in claims.load_rows() if r["check"] == "above-every"]
    mine = [i for i in ids if i.endswith(metric)]
    assert len(mine) == len(set(mine)) == 12 + 4 + 3  # Table 1, Table 2, the stand-in


def test_stars_stand_at_the_best_psl_of_each_cell() -> None:
    starred = [r for r in claims.load_rows() if "Starred" in r["statement"]]
    assert len(starred) == 16 and all(r["arguments"]["metric"] == "ndcg@20" for r in starred)
    places = {(r["arguments"]["dataset"], r["arguments"]["setting"]) for r in starred}
    assert ("amazon-health", "iid") not in places and ("amazon-cd", "ood") in places
