"""The command ``psl``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from companion.cli import (
    claims,
    compare,
    data,
    doctor,
    door,
    dynamics,
    evaluate,
    publish,
    receipt,
    recommend,
    records,
    run,
    train,
    tune,
)
from companion.cli.console import say
from companion.freed_memory import keep_freed_memory

__all__ = ["app", "main"]

app = typer.Typer(cls=door.Group, no_args_is_help=True, add_completion=False)
app.add_typer(data.app, name="data")
app.add_typer(records.app, name="records")
app.add_typer(receipt.app, name="receipt")
app.add_typer(publish.app, name="publish")
app.command("train")(train.train_command)
app.command("tune")(tune.tune_command)
app.command("evaluate")(evaluate.evaluate_command)
app.command("compare")(compare.compare_command)
app.command("recommend")(recommend.recommend_command)
app.command("run")(run.run_command)
app.command("dynamics")(dynamics.dynamics_command)
app.command("doctor")(doctor.doctor_command)
app.command("claims")(claims.claims_command)


def _version(asked: bool) -> None:
    if asked:
        say(version("psl"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which one this is."),
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="After any command: show the traceback of an error.")
    ] = False,
) -> None:
    """Pairwise softmax losses for recommendation, and the experiments of the PSL paper."""


def main() -> None:
    """Run the command: :func:`companion.cli.door.run`."""
    keep_freed_memory()
    door.run(app)
