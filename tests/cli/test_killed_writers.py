"""What a command writes is whole or not there, and a killed one leaves nothing for long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from command import TINY, Psl

TABLE = "\n".join(
    ["user,item", *(f"u{u},i{(7 * u + 3 * k * k) % 40}" for u in range(30) for k in range(15))]
)
SPLIT = ("data", "split", "mine.csv", "--core", "3", "--output", "mine.zip", "--figure", "mine.png")
WRITERS = {
    "split": (SPLIT, ("mine.zip", "mine.png")),
    "save": (("train", *TINY, "--save", "m.safetensors"), ("m.safetensors",)),
    "html": (("run", "smoke", "--loss", "bpr", "--html", "page.html"), ("page.html",)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_killed_writer_left_is_cleared(psl: Psl, tmp_path: Path, name: str) -> None:
    words, written = WRITERS[name]
    (tmp_path / "mine.csv").write_text(TABLE)
    for file in written:
        (tmp_path / f".{file}.1a2b3c4d").write_bytes(b"a part of it")
        (tmp_path / f".{file}.not-ours").touch()
    done = psl(*words)
    assert done.returncode == 0, done.stderr
    left = {path.name for path in tmp_path.iterdir() if path.is_file()} - {"mine.csv"}
    assert left == {*written, *(f".{file}.not-ours" for file in written)}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_kill_in_the_middle_of_writing(psl: Psl, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(TABLE)
    code = (
        "import os, signal, sys; os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"from companion.cli import main; sys.argv = ['psl', *{SPLIT}]; main()"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert killed.returncode == -9
    (part,) = tmp_path.glob(".mine.zip.????????")
    assert not (tmp_path / "mine.zip").exists()
    assert psl(*SPLIT).returncode == 0
    assert not part.exists() and not list(tmp_path.glob(".mine*"))
