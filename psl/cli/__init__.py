"""The command ``psl``."""

from __future__ import annotations

import sys

import typer

from psl.cli import claims, data, records, run, train
from psl.cli.console import err
from psl.errors import PSLError

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(data.app, name="data")
app.add_typer(records.app, name="records")
app.command("train")(train.train_command)
app.command("run")(run.run_command)
app.command("claims")(claims.claims_command)


def main() -> None:
    """Run the command; a foreseen error is one line and exit status 2."""
    try:
        app()
    except PSLError as error:
        err.print(f"psl: {error}", soft_wrap=True, highlight=False, markup=False)
        sys.exit(2)
    except OSError as error:
        err.print(f"psl: {error}", soft_wrap=True, highlight=False, markup=False)
        sys.exit(2)
