"""The command ``psl``."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from companion.cli import claims, data, records, run, train
from companion.cli.console import err, say
from psl.errors import PSLError

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(data.app, name="data")
app.add_typer(records.app, name="records")
app.command("train")(train.train_command)
app.command("run")(run.run_command)
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
) -> None:
    """Pairwise softmax losses for recommendation, and the experiments of the PSL paper."""


def main() -> None:
    """Run the command; a foreseen error is one line and exit status 2.

    To be told to end, as a scheduler, a shutdown or a terminal that is closed does, is to be
    stopped by Ctrl-C: files are left whole, and what was trained is kept.
    """
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, signal.default_int_handler)
    try:
        app()
    except (PSLError, OSError) as error:
        say(f"psl: {error}", err)
        sys.exit(2)
