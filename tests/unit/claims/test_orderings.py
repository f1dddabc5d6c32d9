"""An ordering: paired seeds decide it, together with all that is asked beside it."""

from __future__ import annotations

import pytest
from scipy.stats import ttest_rel

from companion import claims
from ledger import WHERE, other_data, record, subject


@pytest.mark.parametrize(
    ("gaps", "status"),
    [
        ([0.001, 0.0011], "not yet run"),
        ([0.001, 0.0011, 0.0009], "reproduced"),
        ([-0.001, -0.0011, -0.0009], "differs"),
        ([0.001, -0.001, 0.0005], "within noise"),
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
        seeds=3,
        questions=1,
        setting="iid",
        **WHERE,
    )
    assert verdict.status == status


def test_an_ordering_of_other_data_is_red_and_every_ordering_row_notices() -> None:
    losses = ("sl", "psl-tanh", "psl-atan", "psl-relu")
    rows = [record(loss, 0.05 + 1e-3 * (loss != "sl"), s) for loss in losses for s in range(3)]
    ledger = [r for r in claims.load_rows() if r["check"] == "better-than"]
    assert {r["mutant"] for r in ledger} == {"softmax-twice-as-good", "shuffled-test-split"}
    mutated = claims.MUTANTS["shuffled-test-split"](subject(*rows))
    for row in ledger:
        asked = row["arguments"]
        if asked.items() >= {**WHERE, "setting": "iid"}.items():
            check = claims.CHECKS["better-than"]
            assert check(subject(*rows), **row["arguments"]).status == "reproduced"
            for changed in (mutated, subject(*rows[1:], other_data(rows[0]))):
                verdict = check(changed, **row["arguments"])
                assert verdict.status == "differs" and "other data" in verdict.evidence


def test_six_questions_ask_for_more_than_one() -> None:
    gaps = (0.001, 0.0016, 0.0008, 0.0012, 0.0005)
    rows = [record("sl", 0.05, s) for s in range(5)]
    rows += [record("psl-relu", 0.05 + g, s) for s, g in enumerate(gaps)]
    alike = {"metric": "ndcg@20", "better": "psl-relu", "worse": "sl", "seeds": 5, "setting": "iid"}
    asked = [
        claims.CHECKS["better-than"](subject(*rows), questions=q, **alike, **WHERE).status
        for q in (1, 6, 60)
    ]
    assert asked == ["reproduced", "reproduced", "within noise"]
    once, often = (
        claims.CHECKS["better-than"](subject(*rows), questions=q, **alike, **WHERE).p_value
        for q in (1, 60)
    )
    assert once == often == pytest.approx(ttest_rel([0.05 + g for g in gaps], [0.05] * 5).pvalue)


def test_seeds_beyond_those_that_were_planned_change_nothing() -> None:
    gaps = (0.001, -0.001, 0.0005, *[0.01] * 6)
    rows = [record("sl", 0.05, s) for s in range(9)]
    rows += [record("psl-relu", 0.05 + g, s) for s, g in enumerate(gaps)]
    asked = {"metric": "ndcg@20", "better": "psl-relu", "worse": "sl", "seeds": 3, "questions": 6}
    verdicts = [
        claims.CHECKS["better-than"](subject(*some), setting="iid", **asked, **WHERE)
        for some in (rows, [r for r in rows if r["config"]["seed"] < 3])
    ]
    assert verdicts[0] == verdicts[1] and verdicts[0].status == "within noise"


def test_orderings_are_asked_together_and_say_what_was_known() -> None:
    rows = [r for r in claims.load_rows() if r["check"] == "better-than"]
    places: dict[tuple, int] = {}
    for row in rows:
        a = row["arguments"]
        place = (a["dataset"], a["setting"], a["backbone"], a["questions"], a["seen"])
        places[place] = places.get(place, 0) + 1
    assert all(count == questions for (*_, questions, _), count in places.items())
    assert len({p[:3] for p in places}) == len(places)
    evidence = {
        row["id"]: claims.CHECKS["better-than"](
            subject(*(record(x, 0.05, s) for x in ("sl", "psl-relu") for s in range(3))),
            **(row["arguments"] | {"dataset": "amazon-electronic", "setting": "iid"}),
        ).evidence
        for row in rows
        if row["arguments"]["better"] == "psl-relu" and "noise_ratio" not in row["arguments"]
    }
    assert evidence["ood-electronic-psl-relu-above-sl-ndcg"].endswith("asked after seed 0 was seen")
    assert evidence["iid-electronic-psl-relu-above-sl-ndcg"].endswith("seeds")


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
