"""The plan: what is recorded, what is to run, and how long it may take."""

from __future__ import annotations

import dataclasses

import pytest

from companion import datasets
from companion.experiments import cells
from companion.released import PaperConfig
from companion.sweep import make_plan
from companion.sweep.estimate import estimate
from sweeps import record


def test_the_plan(monkeypatch) -> None:
    reason = {"amazon-book": "no file of it"}
    monkeypatch.setattr("companion.sweep.plan.unreachable", lambda name, _: reason.get(name, ""))
    chosen = cells("table1", backbone=["mf"], loss=["sl", "bpr"])
    by = {(c.where["dataset"], c.where["loss"]): c.config for c in chosen}
    electronic, movie = by["amazon-electronic", "sl"], by["amazon-movie", "sl"]
    assert electronic and movie
    other = dataclasses.replace(movie, seed=7)
    plan = make_plan(chosen, [record(electronic, 100.0), record(other, 400.0)])
    assert [c.config for c in plan.recorded] == [electronic]
    assert {c.where["dataset"] for c, _ in plan.blocked} == {"amazon-book"}
    assert all("no data reachable" in reason for _, reason in plan.blocked)
    # The longest first: both of Gowalla, by its pairs, Movie (400 s), Electronic (100 s).
    order = [c.where["dataset"] for c in plan.todo]
    assert order == ["gowalla", "gowalla", "amazon-movie", "amazon-movie", "amazon-electronic"]
    basis = {c.config: plan.estimates[c.config.run_id] for c in plan.todo if c.config}
    assert basis[movie].seconds == 400 and "loss" in basis[movie].basis
    slow = by["amazon-movie", "bpr"]
    assert slow and basis[slow].seconds == 400 and basis[slow].basis.endswith("same dataset")
    size = {name: datasets.get_source(name).interactions for name in order}
    each = [100 / size["amazon-electronic"], 400 / size["amazon-movie"]]
    fast, typical = (basis[c] for c in (by["gowalla", "sl"], by["gowalla", "bpr"]) if c)
    assert fast.seconds == pytest.approx(min(each) * size["gowalla"])
    assert typical.seconds == pytest.approx(sum(each) / 2 * size["gowalla"])
    assert fast.basis == typical.basis == "records of other datasets, by their pairs"
    known = 400 + 400 + 100 + (fast.seconds or 0) + (typical.seconds or 0)
    assert plan.seconds() == (pytest.approx(known), 0)
    assert {j.experiment for j in plan.jobs()} == {"table1"} and len(plan.jobs()) == 5


def test_what_an_estimate_does_not_go_by() -> None:
    """A graph on other data, runs with fewer negatives, data of unknown size."""
    mf, graph = PaperConfig("gowalla", loss="sl"), PaperConfig("gowalla", "iid", "lightgcn", "sl")
    health = PaperConfig("amazon-health", loss="sl")
    quick = record(dataclasses.replace(health, negatives=10), 1.0)
    assert estimate(mf, [quick]).seconds is None
    assert estimate(mf, [quick, record(health, 60.0)]).seconds > 60
    assert estimate(graph, [record(health, 60.0)]).seconds is None
    assert estimate(PaperConfig(loss="sl"), [record(health, 60.0)]).seconds is None
    # One that patience ended at epoch 50 of 200 took its time for those 50.
    patient = dataclasses.replace(health, patience=2)
    stopped = {**record(patient, 50.0), "validation_curve": [{"epoch": 50}]}
    assert estimate(health, [stopped]).seconds == pytest.approx(health.epochs)


@pytest.mark.parametrize("setting", ["iid", "noise", "ood"])
def test_a_record_of_other_data_does_not_count(setting: str, monkeypatch) -> None:
    monkeypatch.delenv("PSL_DATA_MIRROR", raising=False)
    name = {"iid": "table1", "noise": "noise", "ood": "table2"}[setting]
    chosen = cells(name, dataset=["gowalla"], loss=["sl"])[:1]
    (config,) = [c.config for c in chosen if c.config]
    for fingerprint, counts in (("", 1), ("f" * 64, 0)):
        plan = make_plan(chosen, [record(config, 100.0, fingerprint)])
        assert len(plan.recorded) == counts and len(plan.todo) == 1 - counts
        assert plan.estimates[config.run_id].seconds == (100 if counts else None)
    # The data of the other setting is other data too.
    other = datasets.get_source("gowalla", "iid" if setting == "ood" else "ood").fingerprint
    assert not make_plan(chosen, [record(config, 100.0, str(other))]).recorded


def test_where_no_fingerprint_is_registered_every_record_counts(monkeypatch) -> None:
    for chosen in (cells("smoke")[:1], cells("table1", dataset=["amazon-book"])[:1]):
        (config,) = [c.config for c in chosen if c.config]
        assert len(make_plan(chosen, [record(config, 1.0, "f" * 64)]).recorded) == 1


def test_a_gpu_tells_nothing_of_the_time_on_a_cpu() -> None:
    (cell,) = cells("table1", dataset=["gowalla"], backbone=["mf"], loss=["sl"])
    assert cell.config is not None
    other = dataclasses.replace(cell.config, seed=7)
    found = [record(other, 100.0), {**record(other, 5.0), "device": "NVIDIA H200"}]
    for gpu, seconds in ((False, 100.0), (True, 5.0)):
        plan = make_plan([cell], found, gpu=gpu)
        assert plan.estimates[cell.config.run_id].seconds == pytest.approx(seconds)
