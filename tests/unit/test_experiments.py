"""The grid against the packaged tables, counted a second way: with group-bys."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from companion import datasets, experiments, records, reference
from companion.cli import app
from companion.experiments import cells, count_values, questions
from companion.released import PaperConfig
from psl.dataset import Dataset, stored_setting
from psl.errors import PSLError, RecordError, UnknownNameError
from psl.losses import LOSSES, AdvInfoNCELoss, LLPAUCLoss, SLatKLoss
from psl.models.backbones import BACKBONES

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
    assert {(c.backbone, c.loss) for c in plain} == {(b, x) for b in BACKBONES for x in LOSSES}
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


Parse = Callable[[str], PaperConfig]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parse:
    """Return the configuration that a command would train."""
    seen: list[PaperConfig] = []

    def stop(config: PaperConfig, *_: object, **__: object) -> None:
        seen.append(config)
        raise PSLError("far enough")

    monkeypatch.setattr("companion.cli.train.train", stop)
    some = datasets.load()

    def load(name: str, setting: str, **_: object) -> Dataset:
        return dataclasses.replace(some, name=name, setting=stored_setting(setting))

    monkeypatch.setattr("companion.cli.train.datasets.load", load)

    def run(command: str) -> PaperConfig:
        words = [*shlex.split(command)[1:], "--checkpoints", str(tmp_path)]
        done = CliRunner().invoke(app, words)
        assert isinstance(done.exception, PSLError) and seen, (command, done.output)
        return dataclasses.replace(seen.pop(), dataset_fingerprint=None)

    return run


@pytest.mark.parametrize("name", ["all", "smoke"])
def test_the_command_of_a_cell_makes_that_run(name: str, parse: Parse) -> None:
    wanted = [c.config for c in cells(name, seeds=[0, 3]) if c.config]
    for config in wanted[:: max(1, len(wanted) // 150)]:
        command = experiments.cell_command(config)
        assert parse(command) == config, command
        assert "released" not in command, "a cell of the grid is one command without a word of it"


# For each field of a configuration a place that has it, and a value that is not the usual one.
BSL: dict[str, Any] = {"dataset": "gowalla", "loss": "bsl"}
XSIMGCL: dict[str, Any] = {"dataset": "gowalla", "backbone": "xsimgcl", "loss": "sl"}
NOISE: dict[str, Any] = {"dataset": "gowalla", "loss": "sl", "setting": "noise", "noise_ratio": 0.1}
SLATK: dict[str, Any] = {"dataset": "amazon-health", "loss": "sl@20"}
LLPAUC: dict[str, Any] = {"dataset": "gowalla", "loss": "llpauc"}
CHANGES: dict[str, tuple[dict[str, Any], Any]] = {
    "dataset": ({}, "amazon-movie"),
    "setting": ({"dataset": "gowalla"}, "ood"),
    "backbone": ({"dataset": "gowalla"}, "lightgcn"),
    "loss": ({"dataset": "gowalla"}, "sl"),
    "tau": ({"dataset": "gowalla"}, 0.1234567891),
    "lr": ({"dataset": "gowalla"}, 1e-7),
    "weight_decay": ({"dataset": "gowalla"}, 3e-9),
    "seed": ({"dataset": "gowalla"}, 12),
    "protocol": ({"dataset": "gowalla"}, "clean"),
    "epochs": ({"dataset": "gowalla"}, 3),
    "batch_size": ({"dataset": "gowalla"}, 77),
    "negatives": ({"dataset": "gowalla"}, 0),
    "dim": ({"dataset": "gowalla"}, 12),
    "validate_every": ({"dataset": "gowalla"}, 2),
    "patience": ({"dataset": "gowalla"}, 4),
    "init_std": ({"dataset": "gowalla"}, 0.01),
    "noise_ratio": (NOISE, 0.123456789),
    "drop_marked": (NOISE, False),
    "mark_per_user": (NOISE, False),
    "tau2": (BSL, 0.7),
    "alpha": (LLPAUC, 0.33),
    "beta": (LLPAUC, 0.44),
    "form": ({"dataset": "gowalla"}, "inside"),
    "tau_weight": (SLATK, 0.9),
    "refresh": (SLATK, 7),
    "layers": (XSIMGCL, 2),
    "contrast_weight": (XSIMGCL, 0.3),
    "as_released": (BSL, False),
}


def test_every_field_has_a_change() -> None:
    by_hand = {f.name for f in dataclasses.fields(PaperConfig)} - {"dataset_fingerprint"}
    assert set(CHANGES) == by_hand  # that one follows from the data


@pytest.mark.parametrize("field", CHANGES)
def test_a_command_says_whatever_field_is_not_usual(field: str, parse: Parse) -> None:
    where, value = CHANGES[field]
    config = experiments.cell(**{"dataset": "gowalla", **where, field: value})
    command = experiments.cell_command(config)
    assert "--tuned" in command and parse(command) == config, command
    # Where nothing is tuned.
    plain = PaperConfig(**{**where, field: value, "dataset": "my own.zip"})
    command = experiments.cell_command(plain)
    assert "--tuned" not in command and parse(command) == plain, command


def test_a_field_that_is_tuned_and_taken_back_has_a_command(parse: Parse) -> None:
    config = experiments.cell(**XSIMGCL, contrast_weight=None)
    command = experiments.cell_command(config)
    assert "None" not in command and parse(command) == config, command


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_tuned_is_the_cell(loss: str, backbone: str, parse: Parse) -> None:
    """`psl train --tuned` counts for the tables: the loss and the backbone of the paper's code."""
    where = {"dataset": "amazon-health", "backbone": backbone, "loss": loss}
    words = f"psl train --tuned --dataset amazon-health --backbone {backbone} --loss {loss}"
    released = parse(words)
    assert released == experiments.cell(**where)
    differs = loss in ("bsl", "advinfonce", "llpauc") or backbone == "xsimgcl"
    assert released.as_released == differs
    published = parse(f"{words} --as-published")
    assert published == experiments.cell(**where, as_released=False)
    if differs:
        assert parse(f"{words} --as-released") == released


def test_the_usual_form_and_the_marked_pairs(parse: Parse) -> None:
    words = "psl train --tuned --dataset gowalla --loss psl-relu"
    assert parse(f"{words} --form outside") == parse(words) == experiments.cell("gowalla")
    assert parse(f"{words} --form inside").form == "inside"
    noisy = "psl train --dataset gowalla --setting noise --noise-ratio 0.1 --loss sl"
    tuned, plain = parse(f"{noisy} --tuned"), parse(noisy)
    for field, (no, yes) in (
        ("drop_marked", ("--keep-marked", "--drop-marked")),
        ("mark_per_user", ("--mark-pairs", "--mark-per-user")),
    ):
        assert getattr(tuned, field) is getattr(experiments.cell(**NOISE), field) is True
        assert getattr(plain, field) is False
        for switch, said in ((no, False), (yes, True)):
            assert getattr(parse(f"{noisy} --tuned {switch}"), field) is said
            assert getattr(parse(f"{noisy} {switch}"), field) is said


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
