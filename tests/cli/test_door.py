"""Whatever goes wrong inside, outside it is one line and an exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pooch
import pytest

from command import TINY, assert_refused
from companion.cli import train
from companion.released import PaperConfig
from psl.losses import LOSSES, get_loss
from psl.models.backbones import BACKBONES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--dim", "1000000000000"), "dim must be at most"),
        (("train", "--negatives", "1000000000000"), "negatives must be at most"),
        (("train", "--batch-size", "1000000000000"), "batch_size must be at most"),
        (("train", "--backbone", "lightgcn", "--layers", "1" + "0" * 30), "layers must be at most"),
        (("run", "smoke", "--seeds", "0-999999999"), "at most 10,000 seeds"),
        (("train", "--results", "loop/x"), "cannot be written"),
        (("train", "--checkpoints", "loop"), "cannot be written"),
        (("train", "--save", "loop/x.safetensors"), "cannot be written"),
        (("data", "check", "no\nsuch.zip"), "no such.zip: no such file"),
        (("train", "--loss", "softmax"), "did you mean 'sl'"),
    ],
)
def test_what_was_given_is_refused_in_one_line(
    psl, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "pool")
    (tmp_path / "pool").symlink_to(tmp_path / "loop")
    assert_refused(psl(*arguments), words)


def test_a_home_that_is_not_there(psl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooch, "os_cache", lambda name: Path("~/.cache") / name)
    done = psl("data", "check", "amazon-health", PSL_DATA_MIRROR="~nosuchuser/x")
    assert_refused(done, "PSL_DATA_MIRROR ~nosuchuser/x")
    done = psl("data", "fetch", "amazon-health", PSL_DATA_MIRROR="", PSL_CACHE="")
    assert_refused(done, "no home folder", "set PSL_CACHE")
    for threads in ("1000000000", "-1"):
        assert psl("train", "--threads", threads).returncode == 2


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyError("x"), 70, ("KeyError: 'x'. This is a fault of psl", "--debug")),
        (EOFError("Ran out of input"), 70, ("Ran out of input",)),
        (ZeroDivisionError("a\nb"), 70, ("a b",)),
        (UnicodeError("no"), 70, ("UnicodeError: no",)),
        (MemoryError(), 2, ("there is not the memory", "lower dim")),
        (RuntimeError("[enforce fail] can't allocate memory: you tried"), 2, ("lower dim",)),
        (OSError(28, "No space left on device"), 2, ("No space left",)),
    ],
)
def test_a_fault_of_ours_says_how_to_report_it(
    psl, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, words: tuple[str, ...]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(train.datasets, "load", fail)
    done = psl("train", *TINY)
    line = done.stderr.strip()
    assert done.returncode == status and line.startswith("psl: ") and "\n" not in line, done
    assert all(word in line for word in words) and "Traceback" not in line
    assert "Traceback" in psl("train", "--debug", *TINY).stderr


def test_a_terminal_without_the_letters(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "companion", "data", "check", "größe.zip"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert_refused(done, r"gr\xf6\xdfe.zip: no such file")  # type: ignore[arg-type]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("loss", LOSSES)
def test_an_option_that_changes_nothing_is_refused(psl, loss: str, backbone: str) -> None:
    given = {
        "tau": ("--tau", "0.1"),
        "negatives": ("--negatives", "1000"),
        "form": ("--form", "outside"),
        "as_released": ("--as-published",),
        "drop_marked": ("--keep-marked",),
        "mark_per_user": ("--mark-pairs",),
        "tau2": ("--tau2", "0.1"),
        "layers": ("--layers", "2"),
        "own_weight": ("--own-weight", "0.5"),
    }
    ignored = PaperConfig(loss=loss, backbone=backbone).ignored()
    assert ("tau" in ignored) == (not get_loss(loss).tau) and "drop_marked" in ignored
    for name in ignored & given.keys():
        done = psl("train", "--loss", loss, "--backbone", backbone, *given[name])
        assert_refused(done, f"has no option {name}")


def test_a_file_of_another_run_is_not_written_over(psl, tmp_path: Path) -> None:
    words = ("train", *TINY, "--save", "best.safetensors")
    (tmp_path / "best.safetensors").write_text("a file of the user's")
    assert_refused(psl(*words), "best.safetensors is there and not of this run", "--replace")
    assert not (tmp_path / "results").exists()
    assert psl(*words, "--replace").returncode == 0
    first = (tmp_path / "best.safetensors").read_bytes()
    assert psl(*words).returncode == 0, "its own"
    assert (tmp_path / "best.safetensors").read_bytes() == first
    assert_refused(psl(*words, "--seed", "1"), "is there and not of this run")


def test_the_last_epoch_as_the_best_is_told(psl) -> None:
    assert "best epoch is the last" in psl("train", *TINY).stdout
