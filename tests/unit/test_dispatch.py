"""Where the kernels cannot serve, the package works without them and says so once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from psl.errors import PSLError
from psl.kernels import dispatch as fast
from psl.ops import fused_softmax

ROOT = Path(__file__).parents[2]
UNCACHED = """
import warnings, torch
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    from psl import half_cosine
    from psl.kernels import dispatch as fast
    for _ in range(2):
        assert fast.cpu_kernels(torch.zeros(1)) is None
    u, v = half_cosine(torch.eye(2), torch.eye(2))
assert torch.equal(u @ v.T, torch.eye(2) / 2)
print(*(w.message for w in said if "NUMBA_CACHE_DIR" in str(w.message)), sep="\\n")
"""


def test_without_a_folder_for_the_cache_there_are_no_kernels(tmp_path: Path) -> None:
    """As where a package was installed by root and nobody has a home."""
    pytest.importorskip("numba", reason="numba is missing")
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "psl", tmp_path / "psl", ignore=skip)
    # Files where folders should be: root too cannot write there.
    (tmp_path / "psl" / "kernels" / "cpu" / "__pycache__").touch()
    file = tmp_path / "file"
    file.touch()
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), str(file / "cache"))
    run = subprocess.run(
        [sys.executable, "-c", UNCACHED],
        cwd=tmp_path,
        env={**os.environ, **nowhere, "PYTHONDONTWRITEBYTECODE": "1", "PSL_KERNELS": "on"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("set NUMBA_CACHE_DIR") == 1, run.stdout


def test_where_numba_does_not_compile_there_are_no_kernels() -> None:
    code = """
import torch
from psl import half_cosine
from psl.kernels import dispatch as fast
assert fast.cpu_kernels(torch.zeros(1)) is None
half_cosine(torch.eye(2), torch.eye(2))
"""
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PSL_KERNELS": "on"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false", "No", " off "])
def test_the_environment_turns_the_kernels_off(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PSL_KERNELS", word)
    assert fast.cpu_kernels(torch.zeros(1)) is None


@pytest.mark.parametrize("word", ["on", "On", "1", "true", "YES", "", None])
def test_the_environment_leaves_the_kernels_on(
    word: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba", reason="numba is missing")
    if word is None:
        monkeypatch.delenv("PSL_KERNELS", raising=False)
    else:
        monkeypatch.setenv("PSL_KERNELS", word)
    assert fast.cpu_kernels(torch.zeros(1)) is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_word_that_says_neither_is_refused(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no kernel would have served."""
    monkeypatch.setenv("PSL_KERNELS", "offf")
    with pytest.raises(
        PSLError, match=r"unknown value of PSL_KERNELS 'offf'; did you mean 'off'\?"
    ):
        fast.cpu_kernels(torch.zeros(1, dtype=dtype))


@pytest.mark.parametrize("version", ["2.0.0", "2.3.1+git"])
def test_an_old_triton_is_none(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("triton", reason="triton is missing (extra `cuda`)")
    assert fast._load_cuda.__wrapped__() is not None
    monkeypatch.setattr(triton, "__version__", version)
    assert fast._load_cuda.__wrapped__() is None


KERNEL = """
import logging, sys, warnings
from pathlib import Path
import torch
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
warnings.showwarning = lambda message, *_, **__: print(message)
from psl import half_cosine
from psl.kernels import dispatch
from psl.kernels.cpu import compiling, rows

def start_anew():
    "What a new process has: nothing loaded, nothing said."
    for cached in (rows._forward, compiling._announce, compiling._warn_once):
        cached.cache_clear()
    print("--")
    for _ in range(2):
        half_cosine(torch.eye(2), torch.eye(2))

if sys.argv[2:]:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the child process has it too
    start_anew()
else:
    start_anew()
    for suffix in (".nbi", ".nbc"):
        start_anew()
        for path in Path(sys.argv[1]).rglob(f"*{suffix}"):
            path.write_bytes(b"" if suffix == ".nbi" else path.read_bytes()[:-100])
        start_anew()
    start_anew()
assert dispatch.serving(torch.device("cpu")).startswith("numba ")
"""


def said_of_the_cache(folder: Path, *arguments: str) -> list[str]:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "PSL_KERNELS": "on"}
    command = [sys.executable, "-c", KERNEL, str(folder), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.split("--\n")[1:]


def test_a_damaged_or_full_cache_stops_nothing(tmp_path: Path) -> None:
    """It is optional: without it the kernels compile again, and a line says so once."""
    pytest.importorskip("numba", reason="numba is missing")
    first, *turns = said_of_the_cache(tmp_path)
    assert first.count("compiling the kernels") == 1 and "damaged" not in first
    whole, damaged = turns[::2], turns[1::2]
    assert whole == [""] * 3, turns
    for said in damaged:
        assert said.count("is damaged") == said.count("compiling the kernels") == 1, said
    pytest.importorskip("resource", reason="a system without limits")
    (said,) = said_of_the_cache(tmp_path / "full", "full")
    assert said.count("are not kept in") == said.count("File too large") == 1, said


def test_what_is_missing_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cpu_kernels", "gpu_kernels", "find_spec"):
        monkeypatch.setattr(fast, name, lambda _: None)
    fast._say_what_is_missing.cache_clear()
    for word, count in (("off", 0), ("on", 1), ("on", 0)):
        monkeypatch.setenv("PSL_KERNELS", word)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert fast.serving(torch.device("cpu")) == "torch"
        assert [str(w.message).partition(":")[0] for w in said] == [
            "numba is not installed"
        ] * count


@pytest.mark.parametrize(
    ("items", "draws", "name"),
    [
        (500, 250, "catalogue_softmax"),
        (501, 250, "sampled_softmax"),
        (501, None, "catalogue_softmax"),
    ],
)
def test_the_name_of_a_kernel_says_what_it_visits(
    items: int, draws: int | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to two items a draw, products with all cost a CPU less than visits."""
    asked: list[str] = []
    monkeypatch.setattr(fused_softmax, "choose", lambda name, *_: asked.append(name))
    u, v, ids = torch.rand(2, 3), torch.rand(items, 3), torch.zeros(2, dtype=torch.int64)
    negative = None if draws is None else torch.zeros(2, draws, dtype=torch.int64)
    spec = fused_softmax.FusedSpec(0.1, "relu")
    fused_softmax.fused_softmax(u, v, ids, negative, spec, "mean", 128)
    assert asked == [name]
