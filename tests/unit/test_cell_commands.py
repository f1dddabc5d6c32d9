"""The command of a cell makes that run, whatever field is not usual."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from command import click_command
from companion import datasets, experiments
from companion.cli import app
from companion.experiments import cells
from companion.released import PaperConfig
from loss_cases import MODELS, PRINTED
from psl.dataset import Dataset, stored_setting
from psl.errors import PSLError

Parse = Callable[[str], PaperConfig]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parse:
    """Return the configuration that a command would train."""
    seen: list[PaperConfig] = []

    def stop(config: PaperConfig, *_: object, **__: object) -> None:
        seen.append(config)
        raise PSLError("far enough")

    monkeypatch.setattr("companion.cli.train.train", stop)
    monkeypatch.setattr("typer.testing._get_command", click_command)
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
    "k": ({"loss": "sl@k"}, 5),
    "sampled_quantile": ({"loss": "sogsl@k"}, True),
    "gamma": ({"loss": "sogclr"}, 0.3),
    "margin": ({"loss": "ccl"}, -0.1),
    "negative_weight": ({"loss": "drrl"}, 1.2),
    "order": ({"loss": "drrl"}, 1.7),
    "calibration": ({"loss": "gbce"}, 0.3),
    "optimizer": ({"loss": "bpr"}, "sparse-adam"),
    "layers": (XSIMGCL, 2),
    "contrast_weight": (XSIMGCL, 0.3),
    "own_weight": ({"backbone": "simplex", "loss": "ccl"}, 0.0),
    "norm_exponent": ({"backbone": "lightgcn++", "loss": "ccl"}, 0.4),
    "neighbor_exponent": ({"backbone": "lightgcn++", "loss": "ccl"}, -0.3),
    "as_released": (BSL, False),
}


def test_every_field_has_a_change() -> None:
    by_hand = {f.name for f in dataclasses.fields(PaperConfig)} - {"dataset_fingerprint"}
    assert set(CHANGES) == by_hand  # that one follows from the data


@pytest.mark.parametrize("field", CHANGES)
def test_a_command_says_whatever_field_is_not_usual(field: str, parse: Parse) -> None:
    where, value = CHANGES[field]
    if where.get("loss", "sl") in PRINTED:
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


@pytest.mark.parametrize("loss", PRINTED)
@pytest.mark.parametrize("backbone", MODELS)
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
