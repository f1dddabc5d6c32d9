"""`psl run` as a person uses it: plans, stops, goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from command import Psl
from companion import datasets, records
from companion.experiments import cells
from run_records import record as made_up

pytestmark = pytest.mark.first


def test_dry_run_tells_everything_and_does_nothing(psl: Psl, tmp_path: Path) -> None:
    status, out, _ = psl("run", "all", "--dry-run")
    runs = len(cells("all"))
    assert status == 0
    assert "552 of the 552 values that the paper reports and 42 of the follow-up" in out
    assert f"with {runs} runs" in out and "unknown time" in out
    assert "out of reach     0" in out, "all of it is public"
    assert out.count(" psl train --tuned ") == runs
    assert "psl train --tuned --dataset yelp2018 --setting ood --backbone mf --loss sl\n" in out
    assert not list(tmp_path.iterdir())


def test_dry_run_of_a_selection(psl: Psl, tmp_path: Path) -> None:
    words = ("--dataset", "gowalla", "--loss", "sl", "--loss", "bsl", "--seeds", "0-1,4")
    status, out, _ = psl("run", "table1", *words, "--dry-run")
    assert status == 0 and "covers 12 of the 552 values that the paper reports, with 18 runs" in out
    chosen = cells("table1", dataset=["gowalla"], loss=["sl"], backbone=["mf"])
    (config,) = [c.config for c in chosen if c.config]
    file = tmp_path / "results" / "elsewhere.jsonl"
    made = {"config": config.as_dict(), "seconds": 7200.0}
    # One that was made on other data than the registered does not count, nor does its time.
    records.append(file, made_up(0, **made))
    _, out, _ = psl("run", "table1", *words, "--dry-run")
    assert "recorded         0" in out and "to run          18" in out and "unknown time" in out
    registered = datasets.get_source("gowalla").fingerprint
    records.append(file, made_up(0, **made, dataset_fingerprint=registered))
    _, out, _ = psl("run", "table1", *words, "--dry-run", "--workers", "2")
    assert "recorded         1" in out and "to run          17" in out
    # 2 other seeds of that very cell; the others of the dataset.
    assert "2 from records of the same dataset, backbone and loss" in out
    assert "15 from records of the same dataset)" in out
    assert "about 34.0 h of computing, 17.0 h with 2 workers" in out
    _, out, _ = psl("run", "table1", *words, "--dry-run", "--json")
    rows = json.loads(out)
    assert Counter(r["state"] for r in rows) == {"recorded": 1, "to run": 17}
    assert {r["experiment"] for r in rows} == {"table1"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tabel1",), "did you mean 'table1'"),
        (("table1", "--seeds", "4-0"), "--seeds takes numbers and ranges"),
        (("table1", "--engine", "spark"), "unknown engine"),
        (("table1", "--gpus-per-run", "0.5"), "--engine ray"),
        (("table1", "--dataset", "amazon-book"), "none of these can be run here"),
        (("smoke", "--device", "abacus", "--protocol", "none"), "protocol must be one of"),
        (("smoke", "--device", "mps"), "unknown device 'mps'"),
        (("smoke", "--device", "cuda:one"), "unknown device 'cuda:one'"),
    ],
)
def test_bad_input(psl: Psl, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    status, _, err = psl("run", *arguments, PSL_DATA_MIRROR=str(tmp_path))
    assert status == 2 and words in err and err.startswith("psl: ") and err.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "arguments", [("--results", "file/x"), ("--checkpoints", "file/x"), ("--html", "file/x.html")]
)
def test_what_cannot_be_written_is_told_before_training(
    psl: Psl, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("no folder")
    status, _, err = psl("run", "smoke", "--loss", "sl", *arguments)
    assert status == 2 and "cannot be written" in err and "started" not in err


def test_run_then_nothing_is_left(psl: Psl, tmp_path: Path) -> None:
    status, out, err = psl("run", "smoke", "--loss", "sl", "--threads", "1", "--html", "s.html")
    assert status == 0 and out.endswith("1 of 1 runs are recorded now, in results\n1 done\n")
    assert "done     synthetic iid mf sl" in err
    (record,) = records.read(tmp_path / "results" / "smoke.jsonl")
    assert record["schema"] == records.SCHEMA and record["experiment"] == "smoke"
    assert f"{record['metrics']['recall@20']:.4f}" in (tmp_path / "s.html").read_text()
    before = (tmp_path / "results" / "smoke.jsonl").read_bytes()
    status, out, _ = psl("run", "smoke", "--loss", "sl")
    assert status == 0 and "nothing to run" in out
    assert (tmp_path / "results" / "smoke.jsonl").read_bytes() == before
    status, out, err = psl("run", "smoke", "--loss", "sl", "--json")
    assert status == 0 and len(json.loads(out)) == 1 and "nothing to run" in err
    assert psl("records", "check")[0] == 0


def test_a_failing_run_is_status_one(psl: Psl, tmp_path: Path) -> None:
    (tmp_path / ".psl").mkdir()
    (config,) = [c.config for c in cells("smoke", loss=["sl"]) if c.config]
    (tmp_path / ".psl" / f"{config.run_id}.safetensors").write_bytes(b"damaged")
    status, out, err = psl("run", "smoke", "--threads", "1", "--html", "s.html")
    assert status == 1 and "1 failed, 2 done" in out
    assert "failed: psl train --loss sl" in err and "not a readable checkpoint" in err
    assert "not a readable checkpoint" in (tmp_path / "s.html").read_text()
    losses = [r["config"]["loss"] for r in records.read(tmp_path / "results")]
    assert sorted(losses) == ["bpr", "psl-relu"]


# The experiment `smoke` with runs long enough to be stopped in the middle, that hear Ctrl-C:
# whoever tests in the background of a shell hands down that it is not to be heard.
LONGER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from companion.experiments import grid
grid.SMOKE["epochs"] = int(sys.argv.pop(1))
from companion.cli import main
main()
"""


def start(folder: Path, epochs: int, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the command; what it says goes to the file `said` of the folder."""
    words = ("run", "smoke", "--loss", "sl", "--threads", "1", "--workers", "2", *arguments)
    with open(folder / "said", "w") as said:
        return subprocess.Popen(
            [sys.executable, "-c", LONGER, str(epochs), *words],
            cwd=folder,
            env={**os.environ, "PSL_KERNELS": "off", "COLUMNS": "200"},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.02)


def trainers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the worker processes of a command."""
    children = psutil.Process(process.pid).children()
    return [p for p in children if "spawn_main" in " ".join(p.cmdline())]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_and_interrupted_then_whole(tmp_path: Path) -> None:
    """A worker is killed, then all is interrupted; the same command ends with each record once."""
    said = tmp_path / "said"
    first = start(tmp_path, 60, "--seeds", "0-1", "--retries", "0")
    wait_until(lambda: len(list(tmp_path.glob(".psl/*.safetensors"))) == 2)
    victim, other = trainers(first)
    other.suspend()  # on a busy machine it could be through before it is interrupted
    victim.kill()
    wait_until(lambda: "ended by SIGKILL; given up" in said.read_text())
    os.killpg(first.pid, signal.SIGINT)  # what Ctrl-C does: every process of the group is told
    other.resume()
    assert first.wait(60) == 130
    assert "the same command goes on from here" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert not other.is_running(), "no worker is left behind"
    assert not list(tmp_path.glob("results/*.jsonl")) and len(list(tmp_path.glob(".psl/*"))) >= 2

    second = start(tmp_path, 60, "--seeds", "0-1")
    assert second.wait(120) == 0, said.read_text()
    assert said.read_text().endswith("2 done\n")
    found = records.read(tmp_path / "results")
    assert sorted(r["config"]["seed"] for r in found) == [0, 1]
    assert not list(tmp_path.glob(".psl/*"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_workers_end_with_a_killed_driver(tmp_path: Path) -> None:
    driver = start(tmp_path, 2000)
    wait_until(lambda: bool(list(tmp_path.glob(".psl/*.safetensors"))))
    workers = trainers(driver)
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert len(workers) == 1 and not alive
