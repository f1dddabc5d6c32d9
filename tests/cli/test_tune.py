"""`psl tune`: one budget for each loss, and the command of the winner."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from command import Psl, assert_refused
from companion import datasets, records
from companion.serving import measure
from companion.tuning import study
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.streams import numpy_stream

pytest.importorskip("optuna", reason="optuna is missing (extra `tune`)")

TINY = ("--epochs", "2", "--negatives", "5", "--dim", "8", "--validate-every", "1")


def test_each_loss_has_the_same_budget_and_the_winner_a_command(psl: Psl, tmp_path: Path) -> None:
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40}" for u in range(30) for k in range(15)]
    (tmp_path / "mine.csv").write_text("\n".join(["user,item", *rows]))
    split = ("data", "split", "mine.csv", "--output", "a b/mine.zip", "--core", "3")
    assert psl(*split).returncode == 0
    words = ("tune", "a b/mine.zip", *TINY, "--trials", "3", "--loss", "bpr", "--loss", "sl")
    done = psl(*words)
    assert done.returncode == 0, done.stderr
    assert "bpr: 3 complete" in done.stdout and "sl: 3 complete" in done.stdout
    assert "the test part was not looked at" in done.stdout
    assert "bpr 1/3: lr 0.01, weight_decay 0: complete, NDCG@20" in done.stderr
    assert not (tmp_path / "results").exists()

    again = psl(*words, "--json")  # nothing is left to do
    assert again.returncode == 0 and not again.stderr
    told = json.loads(again.stdout)
    assert [t["config"]["loss"] for t in told["trials"]] == ["bpr"] * 3 + ["sl"] * 3
    # A trial is selected on validation, and ends where it no longer gains.
    fixed = {(t["config"]["protocol"], t["config"]["patience"]) for t in told["trials"]}
    assert fixed == {("clean", 4)} and "--patience 4" in told["command"]
    command = told["command"]
    *_, other, best = done.stdout.splitlines()
    assert command == best != other and other.startswith("psl train ")
    assert {"--loss sl", "--loss bpr"} == {
        x for x in ("--loss sl", "--loss bpr") if x in other + best
    }
    trained = psl(*shlex.split(command)[1:], "--json")
    assert trained.returncode == 0, trained.stderr
    (record,) = records.read(tmp_path / "results")
    best = max(told["trials"], key=lambda t: t["score"])
    assert max(p["ndcg@20"] for p in record["validation_curve"]) == best["score"]
    assert record["best_epoch"] == best["epoch"] and record["config"] == best["config"]

    more = json.loads(psl(*words[:-4], "--trials", "4", "--loss", "sl", "--json").stdout)
    assert len(more["trials"]) == 4 and more["trials"][:3] == told["trials"][3:]


def test_floors_stand_beside_the_losses(psl: Psl, tmp_path: Path) -> None:
    words = ("tune", "synthetic", *TINY, "--trials", "2", "--loss", "sl")
    floors = ("--floor", "ease", "--floor", "popular")
    done = psl(*words, *floors)
    assert done.returncode == 0, done.stderr
    assert "ease 1: ridge 10: NDCG@20" in done.stderr and "ease 3" not in done.stderr
    assert "popular 1: nothing to choose: NDCG@20" in done.stderr
    assert "2 of 3" in done.stdout and "1 of 1" in done.stdout
    told = json.loads(psl(*words, *floors, "--json").stdout)
    assert [(f["floor"], f["settings"]) for f in told["floors"]] == [
        ("ease", {"ridge": 10.0}),
        ("ease", {"ridge": 100.0}),
        ("popular", {}),
    ]
    # By another program: EASE on what a trial is trained on, ranked by hand.
    from companion.baselines.linear import ease

    data = datasets.load()
    fit, valid = holdout(data.train, 0.1, numpy_stream(0, "validation"))
    scores = ease(fit, 100.0)(torch.arange(fit.num_users)).numpy()
    found = [_ndcg(scores[u], fit.of(u), valid.of(u)) for u in range(fit.num_users)]
    assert told["floors"][1]["score"] == pytest.approx(float(np.mean(found)), abs=1e-9)
    best = max(t["score"] for t in told["trials"])
    high = max(f["score"] for f in told["floors"])
    says = "no loss is above the floor ease" if best <= high else "the best floor, ease"
    assert says in done.stdout
    assert_refused(psl(*words, "--floor", "eas"), "unknown floor", "'ease'")


def _ndcg(scores: Any, has: Any, wanted: Any) -> float:
    scores = scores.copy()
    scores[has] = -np.inf
    top = np.argsort(-scores, kind="stable")[:20]
    gain = 1 / np.log2(np.arange(2, 22))
    return float(gain[np.isin(top, wanted)].sum() / gain[: min(20, len(wanted))].sum())


def test_a_floor_is_measured_as_a_trial_is() -> None:
    """The same embeddings have the same NDCG@20 by both programs."""
    data = datasets.load()
    fit, valid = holdout(data.train, 0.1, numpy_stream(0, "validation"))
    rng = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 8, generator=rng) for n in (fit.num_users, fit.num_items))
    theirs = evaluate(lambda u: (users[u], items), valid, fit, cutoffs=(20,))["ndcg@20"]
    assert measure(users, items, valid, fit).means()["ndcg@20"] == pytest.approx(theirs)


def test_ctrl_c_stops_it_and_the_same_command_goes_on(
    psl: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("tune", "synthetic", *TINY, "--trials", "3", "--loss", "sl", "--weight-decay", "0")
    right, calls = study.validate, []

    def stop(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return right(*given)

    monkeypatch.setattr(study, "validate", stop)
    done = psl(*words)
    assert done.returncode == 130 and "the same command goes on" in done.stderr
    done = psl(*words)
    assert done.returncode == 0 and len(calls) == 4, "one, one stopped, two"
    assert psl(*words, "--restart").returncode == 0 and len(calls) == 7
    assert len(list(tmp_path.glob(".psl/*"))) == 1


def test_minutes_are_counted_over_all_calls(psl: Psl) -> None:
    words = ("tune", "synthetic", *TINY, "--loss", "sl")
    done = psl(*words, "--minutes", "0.0001", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)["trials"]) == 1
    done = psl(*words, "--minutes", "0.0001", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)["trials"]) == 1


def test_what_cannot_be_searched_is_one_line(psl: Psl, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "mine.csv").write_text("user,item\na,b\n")
    for words, said in (
        (("synthetic",), ("--trials or --minutes",)),
        (("synthetic", "--trials", "1", "--minutes", "1"), ("not both",)),
        (("synthetic", "--minutes", "0"), ("above 0",)),
        (("synthetic", "--trials", "1", "--minutes", "nan"), ("not both",)),
        (("mine.csv", "--trials", "1"), ("psl data split",)),
        (("synthetic", "--trials", "1", "--loss", "softmax"), ("'sl'",)),
        (("synthetic", "--trials", "1", "--loss", "bpr", "--tau", "1"), ("no option tau",)),
        (("synthetic", "--trials", "1", "--layers", "2"), ("no option layers",)),
    ):
        assert_refused(psl("tune", *words), *said)
    fixed = ("--tau", "0.1", "--lr", "0.1", "--weight-decay", "0")
    assert_refused(psl("tune", "synthetic", "--trials", "1", *fixed), "nothing is left to search")
    one = ("tune", "synthetic", *TINY, "--trials", "1")
    both = psl(*one, "--loss", "bpr", "--loss", "sl", "--tau", "0.2")
    assert both.returncode == 0, "what one of them takes is given to that one"
    broken = psl(*one, "--lr", "1e30", "--restart")
    assert broken.returncode == 2 and "no trial is complete" in broken.stderr
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert_refused(psl(*one), "psl[tune]")


def test_help_has_no_option_that_would_test(psl: Psl) -> None:
    shown = psl("tune", "--help").stdout
    assert "--negatives" in shown and "--protocol" not in shown and "--tuned" not in shown
