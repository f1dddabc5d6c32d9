"""The grid against the packaged tables, counted a second way: with group-bys."""

from __future__ import annotations

import dataclasses
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from companion import experiments, records, reference
from companion.experiments import cells, count_values, questions
from companion.released import PaperConfig
from loss_cases import MODELS, PRINTED
from psl.errors import PSLError, RecordError, UnknownNameError
from psl.losses import AdvInfoNCELoss, LLPAUCLoss, SLatKLoss

KEY = ["dataset", "setting", "backbone", "loss", "form", "noise_ratio"]
TABLES = {
    "table1": [("table1_iid", "iid")],
    "table2": [("table2_ood", "ood")],
    "noise": [("figure2_and_c1_c4_noise", "noise")],
    "softplus": [
        ("table_c4_softplus_iid", "iid"),
        ("table_c5_softplus_ood", "ood"),
        ("figures_c5_c8_softplus_noise", "noise"),
    ],
    "forms": [("table_c6_extension_forms", "iid")],
}
# What the book asks beyond the paper, of cells that may stand in its tables too.
OURS = ("sensitivity", "temperatures")


def rows(*names: str) -> pd.DataFrame:
    """All printed values of these experiments in one table, repeated ones too."""
    parts = [
        reference.table(table).assign(setting=setting)
        for n in names
        for table, setting in TABLES[n]
    ]
    out = pd.concat(parts).reset_index(drop=True)
    out["backbone"] = out["backbone"].fillna("mf") if "backbone" in out else "mf"
    out["form"] = out["form"].fillna("outside") if "form" in out else "outside"
    out["noise_ratio"] = out["noise_ratio"].fillna(0.0) if "noise_ratio" in out else 0.0
    return out


def runs(name: str, **filters: Any) -> list[PaperConfig]:
    return [c.config for c in cells(name, **filters) if c.config is not None]


@pytest.mark.parametrize("name", TABLES)
def test_runs_and_values_of_an_experiment(name: str) -> None:
    table, chosen = rows(name), cells(name)
    assert len(chosen) == table.groupby(KEY).ngroups
    assert count_values(chosen) == (table.groupby([*KEY, "metric"]).ngroups, 0)
    ours = {
        (tuple((c.where | {"form": c.where["form"] or "outside"}).get(k) or 0.0 for k in KEY), m): v
        for c in chosen
        for m, v in c.printed.items()
    }
    for (*key, metric), group in table.groupby([*KEY, "metric"])["value"]:
        assert ours[tuple(key), metric] == pytest.approx(group.iloc[0], abs=0)


def test_all_is_every_printed_value_once() -> None:
    table, chosen = rows(*TABLES), cells("all")
    distinct = table.groupby([*KEY, "metric"])["value"].nunique()
    assert (distinct == 1).all(), "a value that stands in two tables is the same in both"
    health = reference.table("followup_table2_slatk").query("dataset == 'amazon-health'")
    assert count_values(chosen) == (len(distinct), len(health)) == (552, 42)
    ids = [c.config.run_id for c in chosen if c.config]
    beyond = [c for name in OURS for c in cells(name) if c.experiment == name]
    assert len(ids) == len(set(ids))
    assert len(ids) == table.groupby(KEY).ngroups + len(cells("health")) + len(beyond)
    union = {c.run_id for name in (*TABLES, "health", *OURS) for c in runs(name)}
    assert set(ids) == union


def test_a_run_of_several_tables_has_one_home() -> None:
    homes = {c.config.run_id: c.experiment for c in cells("all") if c.config}
    for name in TABLES:
        for c in cells(name):
            assert c.config and homes[c.config.run_id] == c.experiment
    assert {c.experiment for c in cells("forms")} == {"table1", "forms"}


def test_the_laptop_tier() -> None:
    found = runs("health")
    plain = [c for c in found if c.setting == "iid"]
    assert {(c.backbone, c.loss) for c in plain} == {(b, x) for b in MODELS for x in PRINTED}
    noisy = [c for c in found if c.setting == "noise"]
    figures = rows("noise", "softplus").query("setting == 'noise'")
    assert {(c.loss, c.noise_ratio) for c in noisy} == set(
        figures[["loss", "noise_ratio"]].itertuples(index=False, name=None)
    ) | {(loss, ratio) for loss in figures["loss"] for ratio in figures["noise_ratio"].unique()}
    assert {c.backbone for c in noisy} == {"mf"}


def test_sensitivity_moves_one_thing_at_a_time() -> None:
    found = cells("sensitivity", dataset=["amazon-health"])
    for loss in ("sl", "psl-tanh", "psl-atan", "psl-relu"):
        tuned = reference.tuned("amazon-health", "iid", "mf", loss)
        ours = [c.config for c in found if c.where["loss"] == loss and c.config]
        assert {c.tau for c in ours if c.negatives == 1000} == {0.005, 0.025, 0.05, 0.1, 0.25}
        assert {c.negatives for c in ours if c.tau == tuned["tau"]} == {0, 10, 30, 100, 300, 1000}
        assert len(ours) == 10, "the tuned run is in both, and there once"
        assert all((c.lr, c.weight_decay) == (tuned["lr"], tuned["weight_decay"]) for c in ours)
    assert {c.experiment for c in found} == {"health", "sensitivity"}


def test_a_temperature_of_its_own_for_each_loss_of_the_questions() -> None:
    asked = [q for q in questions() if q.taus]
    assert {q.dataset for q in asked} == {"amazon-health", "amazon-electronic"}
    found = {(c.dataset, c.setting, c.noise_ratio, c.loss, c.tau) for c in runs("temperatures")}
    for question in asked:
        assert not set(question.choose_on) & set(question.seeds)
        for place, loss, tau in product(question.places, question.losses, question.taus):
            where = (question.dataset, place["setting"], place.get("noise_ratio"), loss, tau)
            assert where in found
    few = cells("temperatures", setting="noise", noise_ratio=[0.5], tau=[0.06, 0.1], loss="sl")
    assert {(c.where["dataset"], c.config.tau) for c in few if c.config} >= {
        ("amazon-health", 0.06),
        ("amazon-health", 0.1),
    }
    assert {c.where["noise_ratio"] for c in few} == {0.5}
    with pytest.raises(ValueError, match="cannot decide"):
        dataclasses.replace(asked[0], choose_on=asked[0].seeds[:1])


def test_filters() -> None:
    chosen = cells("table1", dataset=["gowalla"], loss=["sl", "psl-relu"], seeds=range(3))
    assert len(chosen) == 3 * 2 * 3
    assert count_values(chosen) == (3 * 2 * 2, 0), "seeds add runs and no values"
    assert cells("table1", dataset="gowalla", loss=["sl", "psl-relu"], seeds=range(3)) == chosen
    clean = runs("table1", dataset=["gowalla"], backbone=["mf"], protocol="clean")
    assert {c.protocol for c in clean} == {"clean"}
    assert all("--protocol clean" in experiments.cell_command(c) for c in clean)
    assert (
        len(cells("softplus", setting=["ood"]))
        == rows("softplus").query("setting == 'ood'").groupby(KEY).ngroups
    )


def test_seeds_may_come_from_an_iterator() -> None:
    where = {"dataset": ["gowalla"], "loss": ["sl", "bpr"]}
    wanted = cells("table1", seeds=[0, 2], **where)
    assert cells("table1", seeds=iter([0, 2, 0]), **where) == wanted
    assert runs("table1", seeds=(s for s in (0, 2)), **where) == [c.config for c in wanted]


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        ({"experiment": "tabel1"}, UnknownNameError, "did you mean 'table1'"),
        ({"dataset": ["amazon-health"]}, UnknownNameError, "dataset of table1"),
        ({"loss": ["psl-rel"]}, UnknownNameError, "did you mean 'psl-relu'"),
        ({"protocol": "dirty"}, PSLError, "protocol must be one of"),
    ],
)
def test_what_is_not_in_the_grid(filters: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        cells(**{"experiment": "table1", **filters})


def test_filters_that_leave_nothing() -> None:
    with pytest.raises(RecordError, match="no cell of softplus"):
        cells("softplus", setting=["ood"], backbone=["xsimgcl"])


def test_a_cell_without_hyperparameters_stays_with_its_reason(monkeypatch) -> None:
    real = reference.tuned

    def some(dataset: str, setting: str, backbone: str, loss: str) -> dict[str, float]:
        if loss == "bsl":
            raise RecordError("no tuned hyperparameters for bsl")
        return real(dataset, setting, backbone, loss)

    monkeypatch.setattr("companion.experiments.config.tuned", some)
    chosen = cells("table2")
    assert len(chosen) == 32
    lost = [c for c in chosen if c.config is None]
    assert {c.where["loss"] for c in lost} == {"bsl"} and len(lost) == 4
    assert all("no tuned hyperparameters" in c.reason for c in lost)
    assert len(runs("table2")) == 28


# What two readings of the paper differ in; no record of the one is a cell of the other.
READING = {"seed", "protocol", "drop_marked", "mark_per_user", "as_released"}
RECORDED = ("table1", "table2", "noise", "softplus", "health", "sensitivity")


@pytest.mark.parametrize("name", RECORDED)
def test_the_recorded_runs_are_cells_of_the_grid(name: str) -> None:
    """A default that changes would leave the records of the book behind."""

    def place(config: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in config.items() if k not in READING}

    wanted = [place(c.config.as_dict()) for c in cells("all") if c.config]
    rows = records.read(Path(__file__).parents[2] / "results" / f"{name}.jsonl")
    assert all(place(r["config"]) in wanted for r in rows)


def test_what_the_papers_print_of_every_run() -> None:
    """Appendix B, and the follow-up's K = 20."""
    c = PaperConfig()
    assert (c.epochs, c.batch_size, c.negatives, c.dim) == (200, 1024, 1000, 64)
    assert (c.validate_every, c.init_std) == (5, 0.1)
    adversary = AdvInfoNCELoss()
    assert (adversary.adversary_lr, adversary.interval) == (5e-5, 5)
    assert (adversary.limit, adversary.dim) == (20, 64)
    assert (SLatKLoss().k, SLatKLoss().refresh, LLPAUCLoss().scalar_lr) == (20, 20, 1e-3)


def test_what_a_table_prints_on_another_scale() -> None:
    rows = reference.table("followup_table11_hyperparameters_health")
    row = rows[(rows["backbone"] == "mf") & (rows["loss"] == "sl@20")].iloc[0]
    tuned = reference.tuned("amazon-health", "iid", "mf", "sl@20")
    assert tuned["tau_weight"] == row["tau_beta"] / 2
    weights = {"amazon-electronic": 0.05, "gowalla": 0.2, "amazon-health": 0.2}
    for dataset, weight in weights.items():
        assert reference.tuned(dataset, "iid", "xsimgcl", "sl")["contrast_weight"] == weight
