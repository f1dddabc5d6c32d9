"""The live table and the page: what a person sees of a sweep."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from companion import datasets, records, sweep
from companion.experiments import Cell, cells
from companion.sweep import Event, Settings, SweepProgress, execute, make_plan
from companion.sweep.watch import RunStatus
from sweeps import HOPELESS, board, job, record


def test_the_page_shows_the_record_of_the_registered_data() -> None:
    chosen = cells("table1", dataset=["gowalla"], loss=["sl"], backbone=["mf"])
    (config,) = [c.config for c in chosen if c.config]
    right = {**record(config, 60.0), "created": "2024", "metrics": {"recall@20": 0.1111}}
    wrong = {**record(config, 60.0, "f" * 64), "created": "2025", "metrics": {"recall@20": 0.9999}}
    page = sweep.html("x", make_plan(chosen, [right, wrong]), None, [right, wrong]).decode()
    assert "0.1111" in page and "0.9999" not in page


def test_the_page_is_whole_and_escaped(tmp_path: Path, settings: Settings) -> None:
    good, bad = job(seed=0), job(seed=1, **HOPELESS)
    grid = [Cell({"setting": "iid"}, "tiny", j.config, {"ndcg@20": 0.5}) for j in (good, bad)]
    grid.append(Cell({"dataset": "<b>", "setting": "iid"}, "tiny", None, reason="no <tau>"))
    plan = make_plan(grid, [])
    shown, _, _ = board(plan.jobs())
    execute(plan.jobs(), shown, settings=settings, results=tmp_path)
    page = sweep.html("a & b", plan, shown, records.read(tmp_path)).decode()
    (made,) = records.read(tmp_path)
    assert f"{made['metrics']['ndcg@20']:.4f}" in page and "0.5000" in page
    assert "<title>a &amp; b</title>" in page and "no &lt;tau&gt;" in page
    assert "<tau>" not in page and "the loss is" in page
    assert "http" not in page and "src=" not in page, "needs no other file"


def test_the_live_table_fits_the_terminal() -> None:
    jobs = [job(seed=seed) for seed in range(50)]
    console = Console(file=io.StringIO(), width=100, height=20, force_terminal=True)
    shown = SweepProgress(jobs, console)
    for event in (
        Event(jobs[40].config.run_id, "started"),
        Event(jobs[40].config.run_id, "epoch", 1, 0.25),
        Event(jobs[30].config.run_id, "started"),
        Event(jobs[30].config.run_id, "failed", text="the loss is nan"),
    ):
        shown.handle(event)
    with console.capture() as capture:
        console.print(shown.table())
    lines = capture.get().splitlines()
    assert len(lines) <= 20
    running = next(line for line in lines if "running" in line)
    assert "1/2" in running and "0.2500" in running and " 40 " in running
    assert lines.index(running) < next(i for i, line in enumerate(lines) if "failed" in line)
    assert "1 running, 1 failed, 48 waiting" in capture.get()


def test_the_page_shows_the_last_record_and_its_minutes() -> None:
    chosen = cells("table1", dataset=["gowalla"], loss=["sl"], backbone=["mf"])
    (config,) = [c.config for c in chosen if c.config]
    base = {
        "run_id": config.run_id,
        "experiment": "table1",
        "config": config.as_dict(),
        "dataset_fingerprint": datasets.get_source("gowalla").fingerprint,
        "device": "cpu",
    }
    new = {"created": "2025", "seconds": 150.0, "metrics": {"recall@20": 0.1111, "ndcg@20": 0.2}}
    old = {"created": "2024", "seconds": 90.0, "metrics": {"recall@20": 0.3333, "ndcg@20": 0.2}}
    rows = [base | new, base | old]
    page = sweep.html("x", make_plan(chosen, rows), None, rows).decode()
    assert "0.1111" in page and "0.3333" not in page and ">2.5</td>" in page


def test_what_is_left_goes_by_the_epochs_of_this_attempt(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("companion.sweep.watch.time.monotonic", lambda: now[0])
    one = job(epochs=20)
    run_id, state = one.config.run_id, RunStatus(one)
    state.handle(Event(run_id, "started"))
    now[0] = 4.0
    state.handle(Event(run_id, "epoch", 11))  # it found ten of them done
    assert state.remaining() == 36
    state.handle(Event(run_id, "epoch", 15))
    state.handle(Event(run_id, "died", retried=True))
    state.handle(Event(run_id, "started"))
    now[0] = 10.0
    state.handle(Event(run_id, "epoch", 12))  # from an earlier state than it had told of
    assert state.epoch == 12 and state.remaining() == 6 * 8
