"""A sweep that is killed at any moment: no record is lost, doubled or torn, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.first

# Forked from a process that has imported everything and computed nothing: a start takes no time.
SCRIPT = """
import io, os, random, signal, sys, time
from pathlib import Path
import torch
from rich.console import Console
from companion import records
from companion.sweep import Job, Settings, SweepProgress, execute
from psl.training import RunConfig

torch.set_num_threads(1)
moments, seed = map(int, sys.argv[1:])
chance, left, folder, longest = random.Random(seed), moments, 0, 1.0

def sweep(results):
    there = {r["run_id"] for r in records.read(results)}
    configs = [RunConfig(seed=s, epochs=3, negatives=5, dim=8, batch_size=4096) for s in range(4)]
    jobs = [Job(c, "tiny") for c in configs if c.run_id not in there]
    board = SweepProgress(jobs, Console(file=io.StringIO()))
    settings = Settings(results / "states", "cpu", threads=1)
    return execute(jobs, board, settings=settings, results=results)

def fork(results, limit):
    pid = os.fork()
    if not pid:
        os._exit(0 if sweep(results) else 1)
    began = time.monotonic()
    while limit is None or time.monotonic() - began < limit:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, status
            return time.monotonic() - began
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None

while left > 0:
    results, before, took = Path(f"results{folder}"), [], None
    while took is None:
        took = fork(results, chance.uniform(0, longest) if left > 0 else None)
        left -= took is None
        found = records.read(results)  # raises on what is torn or stands there twice
        assert [r["run_id"] for r in before] == [r["run_id"] for r in found][:len(before)], "lost"
        before = found
    assert sorted(r["config"]["seed"] for r in found) == [0, 1, 2, 3]
    metrics = [r["metrics"] for r in sorted(found, key=lambda r: r["config"]["seed"])]
    assert folder == 0 or metrics == first, "another result"
    first, folder = metrics, folder + 1
    names = {p.name for p in results.rglob("*") if p.is_file()}
    assert names <= {"tiny.jsonl", ".tiny.jsonl.lock"}, names
print(folder, "sweeps")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("moments", [20, pytest.param(100, marks=pytest.mark.soak)])
def test_killed_at_random_moments(tmp_path: Path, moments: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(moments), "0"],
        cwd=tmp_path,
        env={**os.environ, "PSL_KERNELS": "off", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("sweeps\n")
