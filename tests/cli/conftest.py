"""The command in this process, in an empty folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import typer.main

from command import Done, Psl, click_command
from companion.cli import console, main


@pytest.fixture
def psl(tmp_path: Path, monkeypatch, capsys) -> Psl:
    """Run the command in this process, in an empty folder, without a data mirror."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("PSL_DATA_MIRROR", raising=False)

    def run(*arguments: str, **environment: str) -> Done:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        # The console may have read its width when it was imported.
        monkeypatch.setattr(console.out, "width", int(os.environ["COLUMNS"]))
        monkeypatch.setattr(sys, "argv", ["psl", *arguments])
        monkeypatch.setattr(typer.main, "get_command", click_command)
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return Done(int(exit_.value.code or 0), shown.out, shown.err)

    return run
