"""What the commands share: where they write, and options that several take."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column

from psl.errors import UnknownNameError

__all__ = [
    "Device",
    "Results",
    "Setting",
    "Several",
    "check_device",
    "err",
    "key",
    "out",
    "print_json",
]

out, err = Console(), Console(stderr=True)
DEVICES = ("auto", "cpu", "cuda")
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; cuda:1 is the second GPU.")]
Setting = Annotated[str, typer.Option(help="iid, ood or noise.")]
Results = Annotated[Path, typer.Option(help="Folder of the run records.")]
Several = Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")]


def check_device(name: str) -> None:
    """Refuse a device that torch may know (mps, xpu) and this module does not run on.

    Raises
    ------
    UnknownNameError
        Whether the device is there is asked later, where the run happens.
    """
    kind, _, number = name.partition(":")
    if kind not in DEVICES or not (number.isdigit() or name == kind):
        raise UnknownNameError("device", name, DEVICES)


def key(name: str) -> Column:
    """Return the column that names a row: never cut, whatever the terminal's width."""
    return Column(name, no_wrap=True, overflow="ignore")


def print_json(value: Any) -> None:
    """Write a value for a program to read."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
