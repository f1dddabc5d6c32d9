"""`psl run` and `psl records merge` as a person uses them: plans, stops, goes on, merges."""

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
from typing import Any

import psutil
import pytest

from psl import datasets, records
from psl.cli import console, main
from psl.experiments import cells
from psl.records import schema
from psl.training import RunConfig

Psl = Callable[..., tuple[int, str, str]]


@pytest.fixture
def psl(tmp_path: Path, monkeypatch, capsys) -> Psl:
    """Run the command in this process, in an empty folder: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console.out, "width", 200)  # it read COLUMNS when it was imported
    monkeypatch.delenv("PSL_DATA_MIRROR", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["psl", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_dry_run_tells_everything_and_does_nothing(psl: Psl, tmp_path: Path) -> None:
    status, out, _ = psl("run", "all", "--dry-run")
    assert status == 0
    assert "552 of the 552 values that the paper reports and 42 of the follow-up" in out
    assert "with 408 runs" in out and "unknown time" in out
    assert "out of reach: amazon-book (iid)" in out and "PSL_DATA_MIRROR" in out
    # A line and a command for every run, those without data too.
    assert out.count(" psl train --tuned ") == 408
    assert "psl train --tuned --dataset yelp2018 --setting ood --backbone mf --loss sl\n" in out
    assert not list(tmp_path.iterdir())


def test_dry_run_of_a_selection(psl: Psl, tmp_path: Path) -> None:
    words = ("--dataset", "gowalla", "--loss", "sl", "--loss", "bsl", "--seeds", "0-1,4")
    status, out, _ = psl("run", "table1", *words, "--dry-run")
    assert status == 0 and "covers 12 of the 552 values that the paper reports, with 18 runs" in out
    chosen = cells("table1", dataset=["gowalla"], loss=["sl"], backbone=["mf"])
    (config,) = [c.config for c in chosen if c.config]
    file = tmp_path / "results" / "elsewhere.jsonl"
    made = {"config": config.as_dict(), "run_id": config.run_id, "seconds": 7200.0}
    # One that was made on other data than the registered does not count, nor does its time.
    records.append(file, entry(0, **made))
    _, out, _ = psl("run", "table1", *words, "--dry-run")
    assert "recorded         0" in out and "to run          18" in out and "unknown time" in out
    registered = datasets.get_source("gowalla").fingerprint
    records.append(file, entry(0, **made, dataset_fingerprint=registered))
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
    status, _, err = psl("run", *arguments)
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
    assert status == 0 and out.endswith("1 done\n") and "done     synthetic iid mf sl" in err
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


# The experiment `smoke` with runs long enough to be stopped in the middle.
LONGER = """
import sys
from psl.experiments import grid
grid.SMOKE["epochs"] = int(sys.argv.pop(1))
from psl.cli import main
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


def entry(seed: int, **changes: Any) -> dict[str, Any]:
    config = RunConfig(loss="sl", seed=seed, epochs=3).as_dict()
    return {
        "run_id": records.run_id(config),
        "experiment": "smoke",
        "config": config,
        "dataset_fingerprint": "f",
        "metrics": {"recall@20": 0.5, "ndcg@20": 0.5},
        "validation_curve": [],
        "best_epoch": 3,
        "seconds": 90.0,
        "device": "cpu",
        "created": "2024-01-01T00:00:00+00:00",
        **changes,
    }


def changed(seed: int, **config: object) -> dict:
    """Return an entry of another configuration."""
    config = entry(seed)["config"] | config
    return entry(seed, config=config, run_id=records.run_id(config))


def test_whatever_may_be_appended_can_be_shown(psl: Psl, tmp_path: Path) -> None:
    """A record of the required keys alone is enough for every command that reads one."""
    least = entry(0)
    assert least.keys() == schema.REQUIRED.keys()
    least["config"] = {k: least["config"][k] for k in schema.REQUIRED_CONFIG}
    least["run_id"] = records.run_id(least["config"])
    records.append(tmp_path / "results" / "smoke.jsonl", least)
    status, out, _ = psl("records", "show")
    assert status == 0 and "0.5000" in out and "1.5" in out
    assert psl("run", "smoke", "--dry-run")[0] == 0
    assert psl("run", "table1", "--dataset", "gowalla", "--dry-run", "--json")[0] == 0
    assert psl("claims", "--json")[0] == 0


def test_retrace_says_which_records_come_out_again(psl: Psl, tmp_path: Path) -> None:
    assert psl("run", "smoke", "--loss", "sl", "--loss", "bpr", "--threads", "1")[0] == 0
    path = tmp_path / "results" / "smoke.jsonl"
    status, out, err = psl("records", "retrace", "--device", "cpu")
    assert status == 0 and out.count(": the same bits, epoch 3") == 2 and not err
    assert out.endswith("2 the same bits\n")
    first, second = records.read(path)
    first["validation_curve"][0]["ndcg@20"] += 1e-3
    path.write_text("".join(json.dumps(r) + "\n" for r in (first, second)))
    status, out, _ = psl("records", "retrace")
    assert status == 2 and f"{first['run_id']}  synthetic iid mf {first['config']['loss']}" in out
    assert "off by 1.0e-03, epoch 3" in out and out.endswith("1 the same bits, 1 off by more\n")
    first["validation_curve"][0]["ndcg@20"] -= 1e-3
    for off, ends in ((1e-7, "1 within 1e-06\n"), (1e-5, "1 off by more\n")):
        near = json.loads(json.dumps(first))
        near["validation_curve"][0]["loss"] += off
        path.write_text(json.dumps(near) + "\n")
        status, out, _ = psl("records", "retrace")
        assert status == (2 if off > 1e-6 else 0) and out.endswith(ends)
    status, out, _ = psl("records", "retrace", "--tolerance=1")
    assert status == 0 and out.endswith("1 within 1\n")
    first["validation_curve"][0]["loss"] = float("nan")
    path.write_text(json.dumps(first) + "\n")
    status, out, _ = psl("records", "retrace")
    assert status == 2 and out.endswith("1 off by more\n")


def test_retrace_goes_on_where_a_record_cannot_be_compared(psl: Psl, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert psl("run", "smoke", "--loss", "sl")[0] == 0
    records.append(results / "smoke.jsonl", changed(1))
    status, out, _ = psl("records", "retrace")
    assert status == 0 and "not compared: synthetic is not the data" in out
    assert out.endswith("1 the same bits, 1 not compared\n")
    assert psl("records", "retrace", "--loss", "bpr")[0] == 2
    (only,) = [r for r in records.read(results) if r["config"]["seed"] == 1]
    (results / "smoke.jsonl").write_text(json.dumps(only) + "\n")
    assert psl("records", "retrace")[0] == 2


def test_show_tells_runs_apart_in_eighty_columns(
    psl: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for negatives in (1000, 30):
        records.append(tmp_path / "results" / "smoke.jsonl", changed(0, negatives=negatives))
    strange = changed(0, loss="hinge", setting="ood")
    (tmp_path / "results" / "x.jsonl").write_text(json.dumps(strange) + "\n")
    status, out, _ = psl("records", "show")
    lines = [line for line in out.splitlines() if "mf" in line]
    assert status == 0 and "…" not in out and max(map(len, out.splitlines())) <= 80
    assert [line.split()[4:6] for line in lines[:2]] == [["30", "0.5000"], ["1000", "0.5000"]]
    assert "hinge" in lines[2] and "synthetic (ood)" in out
    status, out, _ = psl("records", "show", "--setting", "iid", "--loss", "sl")
    assert status == 0 and "hinge" not in out and out.count("mf sl") == 2
    status, out, _ = psl("records", "show", "--setting", "ood", "--json")
    assert status == 0 and json.loads(out) == [strange]
    status, _, err = psl("records", "show", "--loss", "psl")
    assert status == 2 and "no record of what was asked for" in err


def test_merge(psl: Psl, tmp_path: Path) -> None:
    records.append(tmp_path / "a.jsonl", entry(0))
    records.append(tmp_path / "b.jsonl", entry(1))
    status, out, _ = psl("records", "merge", "a.jsonl", "b.jsonl", "--into", "results")
    assert status == 0 and "2 new in results/smoke.jsonl" in out
    assert "nothing new" in psl("records", "merge", "a.jsonl", "--into", "results")[1]
    other = {"recall@20": 0.5, "ndcg@20": 0.25}
    records.append(tmp_path / "c.jsonl", entry(0, metrics=other))
    status, _, err = psl("records", "merge", "c.jsonl", "--into", "results")
    assert status == 2 and "c.jsonl:1 and results/smoke.jsonl:1" in err and err.count("\n") == 1


def test_check_names_every_flaw(psl: Psl, tmp_path: Path) -> None:
    assert psl("run", "smoke", "--loss", "bpr", "--threads", "1")[0] == 0
    assert psl("records", "check")[0] == 0
    good = (tmp_path / "results" / "smoke.jsonl").read_text()
    config = entry(0)["config"] | {"loss": "hinge"}
    strange = entry(0, config=config, run_id=records.run_id(config))
    (tmp_path / "results" / "x.jsonl").write_text(good + json.dumps(strange) + "\n")
    status, _, err = psl("records", "check")
    assert status == 2
    lines = err.splitlines()
    assert len(lines) == 2 and "x.jsonl:1: the run" in lines[0] and "smoke.jsonl:1" in lines[0]
    assert "x.jsonl:2: the configuration does not load" in lines[1]
