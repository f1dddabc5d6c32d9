"""The command as a person uses it: it starts, and bad input is one clear line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from command import assert_refused
from companion import claims
from companion.cli.claims import OF_RUNS
from ledger import assessed
from psl import __version__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--dataset", "amazon-helth"), ("did you mean 'amazon-health'", "gowalla")),
        (("train", "--loss", "psl-rel"), ("did you mean 'psl-relu'", "bpr")),
        (("train", "--backbone", "mff"), ("did you mean 'mf'",)),
        (("train", "--tau", "-1"), ("tau must be positive",)),
        (("train", "--tuned"), ("no tuned hyperparameters",)),
        (("train", "--device", "abacus"), ("unknown device",)),
        (("train", "--device", "mps"), ("unknown device 'mps'", "cuda")),
        (("train", "--experiment", "../../x"), ("the experiment '../../x' is not a file name",)),
        (("train", "--experiment", ""), ("is not a file name",)),
        (("train", "--save", "best.pt"), ("--save must end in .safetensors",)),
        (("train", "--dataset", "gone.zip"), ("gone.zip: no such file", "psl data split")),
        (("data", "check", "gone.zip"), ("gone.zip: no such file",)),
        (("data", "fetch", "yelp2018", "--setting", "noise-ood"), ("it has: iid, ood",)),
        (("records", "show"), ("no run record",)),
    ],
)
def test_bad_input_is_one_line_and_status_two(
    psl, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(psl(*arguments, PSL_DATA_MIRROR=""), *words)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "command", [[Path(sys.executable).with_name("psl")], [sys.executable, "-m", "companion"]]
)
def test_the_installed_command_starts(command: list[str | Path]) -> None:
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "claims" in done.stdout


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute the ledger of a folder without a record once."""
    rows = assessed()
    monkeypatch.setattr(claims, "assess", lambda _: rows)


def test_narrow_terminals_cut_no_name(psl, once: None) -> None:
    """What a person copies from a table is whole at 80 columns."""
    listed = psl("data", "list", COLUMNS="80").stdout
    assert "amazon-electronic" in listed and "movielens-100k" in listed
    assert "GroupLens: research use" in " ".join(listed.split())
    whole, short = (psl("claims", *words, COLUMNS="80").stdout for words in (("--all",), ()))
    waiting = [row["check"] in OF_RUNS for row in claims.load_rows()]  # no record in this folder
    for row, waits in zip(claims.load_rows(), waiting, strict=True):
        assert row["id"] in whole
        assert (row["id"] in short) != waits
    assert f"{sum(waiting)} values and orderings wait for a run" in short


def test_version_and_a_folder_without_records(psl, once: None) -> None:
    assert psl("--version").stdout.strip() == __version__
    done = psl("claims", "--results", "nosuch")
    assert done.returncode == 0 and "no run record in nosuch" in done.stderr


def test_the_command_starts_without_what_only_posix_has() -> None:
    code = (
        "import signal, sys; sys.modules['resource'] = sys.modules['fcntl'] = None\n"
        "del signal.pthread_sigmask\n"
        "from companion.cli import main; sys.argv = ['psl', 'data', 'list']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "synthetic" in done.stdout, done.stderr


def test_the_command_names_the_extra_that_is_missing() -> None:
    code = "import sys; sys.modules['typer'] = None; from companion.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert_refused(done, "no typer", "pip install 'psl[companion]'")


def test_types_are_packaged() -> None:
    """A user's type checker reads the annotations only if the marker is installed."""
    assert (files("psl") / "py.typed").is_file()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["psl"]
