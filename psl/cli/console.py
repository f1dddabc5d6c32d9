"""What the commands share: where they write, and options that several take."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column

__all__ = ["Results", "Setting", "err", "key", "out", "print_json"]

out, err = Console(), Console(stderr=True)
Setting = Annotated[str, typer.Option(help="iid, ood or noise.")]
Results = Annotated[Path, typer.Option(help="Folder of the run records.")]


def key(name: str) -> Column:
    """Return the column that names a row: never cut, whatever the terminal's width."""
    return Column(name, no_wrap=True, overflow="ignore")


def print_json(value: Any) -> None:
    """Write a value for a program to read."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
