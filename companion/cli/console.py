"""What the commands share: where they write, and options that several take."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column

__all__ = [
    "Device",
    "Results",
    "Setting",
    "Several",
    "err",
    "key",
    "out",
    "print_json",
    "say",
]

# Names of files and of runs are shown as they are: to Rich [old] is a style, and :bug: a picture.
PLAIN: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
out, err = Console(**PLAIN), Console(stderr=True, **PLAIN)
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; cuda:1 is the second GPU.")]
Setting = Annotated[str, typer.Option(help="iid, ood or noise.")]
Results = Annotated[Path, typer.Option(help="Folder of the run records.")]
Several = Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")]


def say(text: str, to: Console = out) -> None:
    """Print a line as it is, however long: whoever copies a path or a command gets all of it."""
    to.print(text, soft_wrap=True)


def key(name: str) -> Column:
    """Return the column that names a row: never cut, whatever the terminal's width."""
    return Column(name, no_wrap=True, overflow="ignore")


def print_json(value: Any) -> None:
    """Write a value for a program to read."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
