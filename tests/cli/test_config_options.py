"""The options of `psl train` are the fields of its configuration."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import typer
from typer.main import get_command
from typer.testing import CliRunner

from companion.cli import app
from companion.cli.config_options import takes_fields
from companion.experiments.config import FROM_DATA, switch
from companion.released import PaperConfig


@dataclass(frozen=True)
class Momentum(PaperConfig):
    """A configuration with three fields more.

    Attributes
    ----------
    momentum : float
        Part of the last ``step``
        that is kept.
    nesterov : bool
        Look ahead.
    warm_up : int, optional
        Epochs of it.
    """

    momentum: float = dataclasses.field(default=0.0, metadata={"at_least": 0, "at_most": 1})
    nesterov: bool = dataclasses.field(default=False, metadata={"option": True})
    warm_up: int | None = dataclasses.field(default=None, metadata={"option": True})


def test_a_new_field_is_an_option() -> None:
    got: dict[str, Any] = {}
    command = typer.Typer(add_completion=False)

    @command.command()
    @takes_fields(Momentum, {"warm_up": "In other words."})
    def _train(context: typer.Context, own: bool = False, **fields: Any) -> None:
        got.update(fields, own=own)

    run = CliRunner().invoke
    shown = " ".join(run(command, ["--help"], env={"COLUMNS": "200"}).output.split())
    for words in (
        "Part of the last step that is kept. (at least 0, at most 1) [default: (0.0)]",
        "--nesterov --no-nesterov",
        "In other words.",
        "--own",
    ):
        assert words in shown
    done = run(command, ["--momentum", "0.5", "--no-nesterov", "--warm-up", "3", "--own"])
    assert done.exit_code == 0, done.output
    wanted = {"momentum": 0.5, "nesterov": False, "warm_up": 3, "own": True}
    assert {k: v for k, v in got.items() if v is not None} == wanted
    assert Momentum(**{k: v for k, v in got.items() if v is not None and k != "own"}).warm_up == 3
    assert "momentum" in run(command, ["--momentum", "much"]).output
    assert switch("nesterov") == ("--no-nesterov", "--nesterov")


def test_every_field_and_option_of_the_command_says_what_it_is() -> None:
    train = get_command(app).commands["train"]  # type: ignore[attr-defined]
    options = {option.name: option for option in train.params}
    names = {field.name for field in dataclasses.fields(PaperConfig)}
    assert names - options.keys() == set(FROM_DATA)
    for name in names & options.keys():
        assert len(options[name].help) > 5 and "`" not in options[name].help, name
    assert "(above 0)" in options["lr"].help and "2147483647" not in options["epochs"].help
    assert options["seed"].show_default == "0" and options["tau2"].show_default is False
