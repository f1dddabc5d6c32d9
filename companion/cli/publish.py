"""`psl publish`: what a clone of the companion hands to archives, checkers and citers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from companion import publish
from companion.cli.console import say

app = typer.Typer(no_args_is_help=True, help="In a clone: metadata for archives.")


@app.command("metadata")
def publish_metadata(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; status 2 where a file is out of date.")
    ] = False,
) -> None:
    """Write codemeta.json, .zenodo.json, codecheck.yml and the RO-Crate from CITATION.cff."""
    root = Path()
    names = publish.outdated(root) if check else publish.write_metadata(root)
    for name in names:
        say(f"{name}: {'out of date; `psl publish metadata` writes it' if check else 'written'}")
    if not names:
        say(f"{', '.join(publish.METADATA)}: as CITATION.cff and pyproject.toml say")
    elif check:
        raise typer.Exit(2)
