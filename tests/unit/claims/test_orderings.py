"""An ordering: paired seeds decide it, together with all that is asked beside it."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_rel

from companion import claims
from companion.claims.paired_runs import blind
from companion.experiments import questions
from companion.statistics import holm
from ledger import WHERE, other_data, record, subject

TEXT: dict[str, Any] = {"capture_output": True, "text": True, "check": True}


def ordering(name: str) -> dict:
    """Return a row by its id."""
    (row,) = (r for r in claims.load_rows() if r["id"] == name)
    return row


@pytest.mark.parametrize(
    ("gaps", "status"),
    [
        ([0.001, 0.0011], "not yet run"),
        ([0.001, 0.0011, 0.0009], "reproduced"),
        ([-0.001, -0.0011, -0.0009], "differs"),
        ([0.001, -0.001, 0.0005], "cannot tell"),
    ],
)
def test_an_ordering_needs_paired_seeds(gaps: list[float], status: str) -> None:
    rows = [record("sl", 0.05, s) for s in range(len(gaps))]
    rows += [record("psl-relu", 0.05 + g, s) for s, g in enumerate(gaps)]
    verdict = claims.CHECKS["better-than"](
        subject(*rows),
        metric="ndcg@20",
        better="psl-relu",
        worse="sl",
        seeds=[0, 1, 2],
        setting="iid",
        **WHERE,
    )
    assert verdict.status == status


def test_an_ordering_of_other_data_is_red_and_every_ordering_row_notices() -> None:
    losses = ("sl", "psl-tanh", "psl-atan", "psl-relu")
    rows = [record(loss, 0.05 + 1e-3 * (loss != "sl"), s) for loss in losses for s in range(13)]
    ledger = [r for r in claims.load_rows() if r["check"] == "better-than"]
    assert {r["mutant"] for r in ledger} == {"softmax-better", "shuffled-test-split"}
    mutated = claims.MUTANTS["shuffled-test-split"].make(subject(*rows), 1.0)
    for row in ledger:
        asked = row["arguments"]
        if asked.items() >= {**WHERE, "setting": "iid"}.items() and "taus" not in asked:
            check = claims.CHECKS["better-than"]
            assert check(subject(*rows), **row["arguments"]).status == "reproduced"
            first = asked["seeds"][0]  # of SL, whose rows come first
            rest = rows[:first] + rows[first + 1 :]
            for changed in (mutated, subject(*rest, other_data(rows[first]))):
                verdict = check(changed, **row["arguments"])
                assert verdict.status == "differs" and "other data" in verdict.evidence


def test_a_family_asks_for_more_than_one_question_does() -> None:
    """Holm's correction is over the whole family: what waits has found nothing yet."""
    gaps = (0.001, 0.0016, 0.0008, 0.0012, 0.0005)
    rows = [record("sl", 0.05, s) for s in range(10)]
    rows += [record("psl-relu", 0.05 + g, 3 + s) for s, g in enumerate(2 * gaps)]
    row = ordering("fresh-electronic-iid-psl-relu-ndcg")
    rows += [record("sl", 0.05, s) for s in range(10, 13)]

    def verdict(*more: dict) -> claims.Verdict:
        return claims.CHECKS["better-than"](subject(*rows, *more), **row["arguments"])

    alone = verdict()
    p_value = ttest_rel([0.05 + g for g in 2 * gaps], [0.05] * 10).pvalue
    assert alone.p_value == pytest.approx(p_value)
    assert alone.status == "reproduced" and "corrected for 6" in alone.evidence
    noise = (0.001, -0.0011, 0.0009, -0.001) * 3
    others = [
        record(loss, 0.05 + noise[s], 3 + s) for loss in ("psl-tanh", "psl-atan") for s in range(10)
    ]
    assert "corrected for 6" in verdict(*others).evidence
    assert holm([p_value, p_value, *[1] * 4])[0] < 0.0005
    assert "p < 0.001 corrected" in verdict(*others).evidence
    assert verdict(*others).p_value == alone.p_value


def test_seeds_beyond_those_that_were_planned_change_nothing() -> None:
    gaps = (0.001, -0.001, 0.0005, *[0.01] * 6)
    rows = [record("sl", 0.05, s) for s in range(9)]
    rows += [record("psl-relu", 0.05 + g, s) for s, g in enumerate(gaps)]
    asked = {"metric": "ndcg@20", "better": "psl-relu", "worse": "sl", "seeds": [0, 1, 2]}
    verdicts = [
        claims.CHECKS["better-than"](subject(*some), setting="iid", **asked, **WHERE)
        for some in (rows, [r for r in rows if r["config"]["seed"] < 3])
    ]
    assert verdicts[0] == verdicts[1] and verdicts[0].status == "cannot tell"
    assert re.search(r"power \d+% for the printed gain of \+2\.\d%", verdicts[0].evidence)


def test_orderings_say_what_was_known_and_whether_they_were_blind() -> None:
    rows = [r for r in claims.load_rows() if r["check"] == "better-than"]
    assert len({r["id"] for r in rows}) == len(rows)
    evidence = {
        row["id"]: claims.CHECKS["better-than"](
            subject(*(record(x, 0.05 + 1e-5 * s, s) for x in ("sl", "psl-relu") for s in range(3))),
            **(row["arguments"] | {"dataset": "amazon-electronic", "setting": "iid"}),
        ).evidence
        for row in rows
        if row["arguments"]["better"] == "psl-relu" and len(row["arguments"]["seeds"]) == 3
        if "noise_ratio" not in row["arguments"]
    }
    assert evidence["ood-electronic-psl-relu-above-sl-ndcg"].endswith("asked after seed 0 was seen")
    assert evidence["iid-electronic-psl-relu-above-sl-ndcg"].endswith("printed gain of +2.3%")


@pytest.mark.parametrize(("hour", "seconds", "unseen"), [("05", 0, True), ("04", 0, False)])
def test_a_question_is_blind_if_every_run_began_after_it(
    hour: str, seconds: int, unseen: bool
) -> None:
    asked = ordering("fresh-electronic-iid-psl-relu-ndcg")["arguments"]
    made = {"created": f"2026-11-29T{hour}:00:00+00:00", "seconds": seconds}
    rows = [
        record(loss, 0.05 + 1e-3 * s, s) | made
        for loss in ("sl", "psl-relu")
        for s in asked["seeds"]
    ]
    check = claims.CHECKS["better-than"]
    assert check(subject(*rows), **asked).blind is unseen
    long = {"seconds": 7200.0}  # the same end, but begun before the question
    assert check(subject(rows[0] | long, *rows[1:]), **asked).blind is False
    again = {"first_seen": "2026-11-29T03:00:00+00:00"}  # the run was made twice
    assert check(subject(rows[0] | again, *rows[1:]), **asked).blind is False
    elsewhere = rows[0] | {"created": "2026-11-29T03:00:00+00:00", "device": "another"}
    assert check(subject(elsewhere, *rows), **asked).blind is False


def test_each_loss_has_the_temperature_that_its_own_validation_chose() -> None:
    asked = ordering("temperature-electronic-iid-psl-relu-ndcg")["arguments"]

    def run(loss: str, tau: float, seed: int, validation: float, ndcg: float) -> dict:
        curve = [{"epoch": 5, "ndcg@20": validation}, {"epoch": 10, "ndcg@20": 0.0}]
        return record(loss, ndcg, seed, tau=tau) | {"validation_curve": curve}

    best = {"sl": 0.07, "psl-relu": 0.12}
    trials = [
        run(loss, tau, 0, 0.9 if tau == best[loss] else 0.1, 0.0)
        for loss in best
        for tau in asked["taus"]
    ]
    decides = [
        run(loss, tau, seed, 0.5, 0.05 + (1e-3 + 1e-4 * seed) * (loss == "psl-relu"))
        for loss, tau in best.items()
        for seed in asked["seeds"]
    ]
    check = claims.CHECKS["better-than"]
    verdict = check(subject(*trials, *decides), **asked)
    assert verdict.status == "reproduced"
    assert verdict.evidence.startswith(
        "PSL-relu at tau 0.12 (edge of the grid), SL at tau 0.07; paired gap +0.0015"
    )
    assert set(verdict.runs) == {r["run_id"] for r in (*trials, *decides)}
    assert check(subject(*trials[1:], *decides), **asked).status == "not yet run"
    assert "6 of the 7 runs" in check(subject(*trials[:-1], *decides), **asked).evidence
    few = check(subject(*trials, *decides[1:]), **asked)
    assert few.status == "not yet run" and "--tau 0.07" in few.evidence


def test_a_trend_is_the_slope_of_the_gain_seed_by_seed() -> None:
    asked = ordering("trend-health-noise-psl-relu-ndcg")["arguments"]

    def rows(slope: float) -> list[dict]:
        found = []
        for ratio, seed in product(asked["noise_ratios"], asked["seeds"]):
            where = {"dataset": "amazon-health", "setting": "noise", "noise_ratio": ratio}
            base = 0.1 * (1 - ratio) + 1e-3 * seed
            gain = 1 + slope * ratio + 1e-3 * ((seed * 7) % 5 - 2)
            found += [record("sl", base, seed, **where)]
            found += [record("psl-relu", base * gain, seed, **where)]
        return found

    check = claims.CHECKS["gain-grows"]
    found = check(subject(*rows(0.2)), **asked)
    assert found.status == "reproduced" and "paired gap +0.200" in found.evidence
    assert check(subject(*rows(-0.2)), **asked).status == "differs"
    assert check(subject(*rows(0.2)[2:]), **asked).status == "not yet run"
    changed = claims.MUTANTS["shuffled-test-split"].make(subject(*rows(0.2)), 1.0)
    assert check(changed, **asked).status == "differs"


def test_every_question_stands_in_the_history_before_its_runs() -> None:
    """The time in the file is a promise; the history of the repository is what holds it."""
    git = ["git", "-C", str(Path(__file__).parents[3]), "log", "--format=%aI", "--reverse"]
    try:
        shallow = subprocess.run([*git[:3], "rev-parse", "--is-shallow-repository"], **TEXT)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no repository here")
    if shallow.stdout.strip() != "false":
        pytest.skip("the history is cut off")
    found = claims.Subject.real(Path(__file__).parents[3] / "results")
    path = "companion/paper/questions.yml"
    for question in questions():
        line = f"family: {question.family}"
        first = subprocess.run([*git, f"-S{line}", "--", path], **TEXT).stdout.split()
        if not first:
            pytest.skip("not committed yet")
        committed = datetime.fromisoformat(first[0])
        assert question.asked <= committed, "a question cannot be committed before it is asked"
        for row in claims.load_rows():
            if row.get("arguments", {}).get("family") == question.family:
                verdict = claims.CHECKS[row["check"]](found, **row["arguments"])
                runs = [r for r in found.records if r["run_id"] in verdict.runs]
                # Those that choose a temperature are older by design.
                seeds = {r["config"]["seed"] for r in runs}
                assert seeds <= {*question.seeds, *question.choose_on}
                if verdict.blind:
                    decide = [r for r in runs if r["config"]["seed"] in question.seeds]
                    assert decide and blind(committed.isoformat(), decide)


def test_every_dataset_of_the_tables_is_asked_and_its_command_told() -> None:
    rows = {r["id"]: r for r in claims.load_rows() if r["check"] == "better-than"}
    asked = {(r["arguments"]["setting"], r["arguments"]["dataset"]) for r in rows.values()}
    iid = {"amazon-book", "amazon-electronic", "amazon-movie", "gowalla", "amazon-health"}
    ood = {"amazon-cd", "amazon-electronic", "gowalla", "yelp2018"}
    assert asked == {(s, d) for s in ("iid", "noise") for d in iid} | {("ood", d) for d in ood}
    for name in ("cd", "yelp2018"):
        row = rows[f"ood-{name}-psl-relu-above-sl-ndcg"]
        verdict = claims.CHECKS["better-than"](subject(), **row["arguments"])
        dataset = row["arguments"]["dataset"]
        words = f"psl run table2 --dataset {dataset} --backbone mf --loss sl --loss psl-relu"
        assert verdict.status == "not yet run" and words + " --seeds 0-2" in verdict.evidence
