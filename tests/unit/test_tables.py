"""Printed values and recorded runs side by side."""

from __future__ import annotations

import math

import pytest

from companion import datasets, records, reference
from companion.experiments import cell
from companion.figures import overview_table
from companion.tables import contrasts, gains, gains_everywhere, overview


def record(loss: str, seed: int, ndcg: float, **changes) -> dict:
    config = cell("amazon-electronic", loss=loss, seed=seed, **changes).as_dict()
    metrics = {"recall@20": 0.08, "ndcg@20": ndcg}
    run = {"run_id": records.run_id(config), "config": config, "metrics": metrics}
    known = datasets.get_source("amazon-electronic").fingerprint
    return {**run, "created": "2000-01-01", "dataset_fingerprint": known}


def one(table, **where):
    for column, entry in where.items():
        table = table[table[column] == entry]
    assert len(table) == 1
    return table.iloc[0]


def test_values_stand_beside_what_is_printed() -> None:
    runs = [record("sl", s, v) for s, v in enumerate((0.05, 0.052, 0.054))]
    runs.append(record("sl", 3, 0.9, tau=0.2))  # not the cell's temperature
    table = overview("table1", runs, dataset=["amazon-electronic"], backbone=["mf"])
    row = one(table, loss="sl", metric="ndcg@20")
    printed = reference.reported(
        "table1_iid", dataset="amazon-electronic", backbone="mf", loss="sl", metric="ndcg@20"
    )
    assert row["paper"] == printed and row["ours"] == pytest.approx(0.052) and row["seeds"] == 3
    assert row["low"] < 0.052 < row["high"]
    assert row["command"].startswith("psl train --tuned --dataset amazon-electronic")


def test_a_record_of_other_data_does_not_count() -> None:
    runs = [record("sl", 0, 0.05), {**record("sl", 1, 0.9), "dataset_fingerprint": "f" * 64}]
    table = overview("table1", runs, dataset=["amazon-electronic"], loss=["sl"], backbone=["mf"])
    row = one(table, metric="ndcg@20")
    assert row["ours"] == 0.05 and row["seeds"] == 1


def test_what_is_not_recorded_is_not_a_number() -> None:
    table = overview("table1", [], dataset=["amazon-electronic"], backbone=["mf"])
    assert len(table) == 16 and table["ours"].isna().all() and (table["seeds"] == 0).all()
    assert table["paper"].notna().all()


def test_seeds_may_be_chosen() -> None:
    runs = [record("sl", s, v) for s, v in enumerate((0.05, 0.06))]
    table = overview("table1", runs, seeds=[1], dataset=["amazon-electronic"], loss=["sl"])
    row = one(table, backbone="mf", metric="ndcg@20")
    assert row["ours"] == 0.06 and row["seeds"] == 1 and math.isnan(row["low"])


def test_a_gain_is_on_the_seeds_of_both() -> None:
    runs = [record("sl", s, v) for s, v in enumerate((0.050, 0.052, 0.054))]
    runs += [record("psl-relu", s, v) for s, v in ((1, 0.053), (2, 0.056), (7, 0.9))]
    where = {"dataset": "amazon-electronic", "backbone": "mf"}
    table = gains("table1", runs, dataset=["amazon-electronic"], backbone=["mf"])
    row = one(table, loss="psl-relu", metric="ndcg@20")
    assert row["seeds"] == 2 and row["ours"] == pytest.approx(0.0015 / 0.053)
    half = 12.706 * 0.0005 / 0.053  # Student's t with one degree of freedom
    assert row["high"] - row["ours"] == pytest.approx(half, rel=1e-4)
    assert row["ours"] - row["low"] == pytest.approx(half, rel=1e-4)
    psl, sl = (
        reference.reported("table1_iid", loss=loss, metric="ndcg@20", **where)
        for loss in ("psl-relu", "sl")
    )
    assert row["paper"] == pytest.approx(psl / sl - 1)
    rest = one(table, loss="bpr", metric="ndcg@20")
    assert rest["seeds"] == 0 and math.isnan(rest["ours"]) and rest["paper"] < 0
    assert "sl" not in set(table["loss"])


def test_gains_are_taken_in_one_place_and_of_one_loss() -> None:
    noisy = {"setting": "noise", "noise_ratio": 0.5}
    runs = [record("sl", 0, 0.05), record("sl", 0, 0.02, **noisy)]
    runs += [record("psl-relu", 0, 0.03, **noisy)]
    table = gains("noise", runs, dataset=["amazon-electronic"], loss=["psl-relu"])
    assert set(table["loss"]) == {"psl-relu"} and len(table) == 10
    row = one(table, noise_ratio=0.5, metric="ndcg@20")
    assert row["ours"] == pytest.approx(0.5) and row["seeds"] == 1 and math.isnan(row["low"])
    row = one(
        gains("noise", runs, over="psl-relu", dataset=["amazon-electronic"], loss=["sl"]),
        noise_ratio=0.5,
        metric="ndcg@20",
    )
    assert row["ours"] == pytest.approx(-1 / 3)


def test_a_gain_of_other_data_does_not_count() -> None:
    runs = [record("sl", 0, 0.05), {**record("psl-relu", 0, 0.9), "dataset_fingerprint": "f" * 64}]
    table = gains("table1", runs, dataset=["amazon-electronic"], backbone=["mf"])
    assert (table["seeds"] == 0).all()


def test_a_change_of_a_setting_is_worth_its_paired_gain() -> None:
    warm, cold = (cell("amazon-electronic", loss="sl", tau=tau) for tau in (0.1, 0.05))
    runs = [record("sl", s, v) for s, v in enumerate((0.05, 0.06, 0.04))]
    runs += [record("sl", s, v, tau=0.05) for s, v in enumerate((0.055, 0.068))]
    runs += [{**runs[3], "dataset_fingerprint": "f" * 64}]
    table = contrasts(runs, {"colder": (cold, warm), "not run": (warm, cell("gowalla"))})
    row = one(table, label="colder (2)")
    assert len(table) == 1 and (row["loss"], row["seeds"]) == ("sl", 2)
    assert row["ours"] == pytest.approx(100 * 0.0065 / 0.055)
    assert row["low"] < row["ours"] < row["high"] and math.isnan(row["paper"])
    assert contrasts([], {"colder": (cold, warm)}).empty


def test_a_place_of_two_experiments_counts_once() -> None:
    runs = [record(loss, 0, v) for loss, v in (("sl", 0.05), ("psl-relu", 0.06))]
    table = gains_everywhere(runs, "psl-relu")
    row = one(table, dataset="amazon-electronic", setting="iid")
    assert len(table) == 1 and row["ours"] == pytest.approx(0.2) and row["metric"] == "ndcg@20"
    assert gains_everywhere(runs, "psl-tanh").empty  # none under noise, and that is no error
    assert row["label"] == "Electronic" and math.isnan(row["corrected"])


def test_every_loss_is_asked_and_their_p_values_are_corrected_together() -> None:
    values = {"sl": (1, 2, 3), "psl-relu": (1.1, 2.2, 3.1), "psl-tanh": (1, 2.1, 3.1)}
    runs = [record(loss, s, v / 50) for loss, some in values.items() for s, v in enumerate(some)]
    table = gains_everywhere(runs).set_index("loss")
    assert set(table.index) == {"psl-relu", "psl-tanh"}
    small, large = sorted(table["p"])
    assert sorted(table["corrected"]) == pytest.approx([2 * small, max(2 * small, large)])


def test_what_waits_stands_in_the_caption_with_its_command() -> None:
    where = {"dataset": ["amazon-electronic"], "backbone": ["mf"]}
    shown = overview_table(overview("table1", [record("sl", 0, 0.05)], **where), "table1")
    assert [row[0] for row in shown.rows] == ["SL", "SL"]
    command = "<code>psl run table1 --dataset amazon-electronic</code>"
    assert shown.caption == f"amazon-electronic; 7 cells not yet run: {command}"
    two = overview("table1", [record("sl", 0, 0.05)], **where, loss=["sl", "bpr"])
    assert overview_table(two, "table1").caption.startswith("amazon-electronic; 1 cell not yet")
    whole = overview("table1", [record("sl", 0, 0.05)], **where, loss=["sl"])
    assert overview_table(whole, "table1").caption == "amazon-electronic"
