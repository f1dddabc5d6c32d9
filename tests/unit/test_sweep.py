"""Many runs: each recorded exactly once, whatever happens to a run or to its worker."""

from __future__ import annotations

import copy
import dataclasses
import io
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from rich.console import Console

from psl import datasets, records, sweep
from psl.errors import PSLError, RecordError, UnknownNameError
from psl.experiments import Cell, cells
from psl.sweep import Board, Event, Job, Settings, execute, local, make_plan
from psl.sweep.estimate import estimate
from psl.sweep.watch import State, names
from psl.training import RunConfig, train

TINY: dict[str, Any] = {"epochs": 2, "negatives": 20, "dim": 8}
HOPELESS: dict[str, Any] = {"loss": "bpr", "lr": 1e30}  # its loss overflows in the first epoch


def job(**changes: Any) -> Job:
    return Job(RunConfig(**{**TINY, **changes}), "tiny")


def board(jobs: list[Job], then: Any = lambda _: None) -> tuple[Board, io.StringIO, list[Event]]:
    """A board without a terminal, what it printed, and what it heard; ``then`` sees each event."""
    text, heard = io.StringIO(), []

    class Listening(Board):
        def hear(self, event: Event) -> None:
            heard.append(event)
            super().hear(event)
            then(event)

    return Listening(jobs, Console(file=text, width=200)), text, heard


@pytest.fixture
def settings(tmp_path: Path, monkeypatch) -> Settings:
    monkeypatch.setenv("PSL_KERNELS", "off")  # no compilation in every worker
    return Settings(checkpoints=tmp_path / "states", device="cpu", threads=1)


def alone(run: Job) -> dict[str, float]:
    """Metrics of the run when nothing interrupts it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train(run.config, datasets.load(), device="cpu").record["metrics"]
    finally:
        torch.set_num_threads(before)


def test_a_failing_run_stops_no_other(tmp_path: Path, settings: Settings) -> None:
    jobs = [job(seed=0), job(seed=1, **HOPELESS), job(seed=2)]
    shown, text, heard = board(jobs)
    assert not execute(jobs, shown, settings=settings, results=tmp_path)
    states = [s.state for s in shown.states.values()]
    assert states == ["done", "failed", "done"] and shown.count() == "1 failed, 2 done"
    assert "the loss is" in shown.states[jobs[1].config.run_id].text
    assert "failed   synthetic iid mf bpr seed 1: the loss is" in text.getvalue()
    found = records.read(tmp_path / "tiny.jsonl")
    assert [r["config"]["seed"] for r in found] == [0, 2]
    assert {r["experiment"] for r in found} == {"tiny"}
    assert not list(settings.checkpoints.glob("*")), "a failed first epoch has left no state"
    assert [e.kind for e in heard if e.kind == "failed"] == ["failed"], "never tried again"


def test_a_run_named_twice_is_run_once(tmp_path: Path, settings: Settings) -> None:
    jobs = [job(), job()]
    shown, _, heard = board(jobs)
    assert execute(jobs, shown, settings=settings, results=tmp_path)
    assert [e.kind for e in heard].count("started") == 1


def test_an_unforeseen_error_is_a_failure_too(
    tmp_path: Path, settings: Settings, monkeypatch
) -> None:
    def broken(*_: Any) -> None:
        raise MemoryError("3 GiB")

    monkeypatch.setattr(sweep.jobs, "_data", broken)
    shown, text, _ = board([job()])
    assert not execute([job()], shown, settings=settings, results=tmp_path)
    assert "MemoryError: 3 GiB" in text.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_worker_is_told_and_its_run_goes_on(tmp_path: Path, settings: Settings) -> None:
    run = job(epochs=30)
    killed: list[int] = []

    def kill(event: Event) -> None:
        if event.kind == "epoch" and event.epoch == 5 and not killed:
            killed.extend(p.pid for p in multiprocessing.active_children())
            os.kill(killed[0], signal.SIGKILL)

    shown, text, heard = board([run], kill)
    pool = dataclasses.replace(settings, workers=2, retries=1)
    assert execute([run], shown, settings=pool, results=tmp_path)
    assert len(killed) == 1
    assert "the worker ended by SIGKILL; taken up again" in text.getvalue()
    epochs = [e.epoch for e in heard if e.kind == "epoch"]
    assert epochs.count(1) == 1, "the second worker went on, it did not start again"
    (record,) = records.read(tmp_path / "tiny.jsonl")
    assert record["metrics"] == alone(run) and "cpu, 1 threads" in record["device"]
    assert not list(settings.checkpoints.iterdir())


def test_a_worker_that_always_dies_is_given_up(tmp_path: Path, settings: Settings) -> None:
    run = job(epochs=500)

    def kill(event: Event) -> None:
        if event.kind == "started":
            for process in multiprocessing.active_children():
                process.kill()

    shown, text, heard = board([run], kill)
    pool = dataclasses.replace(settings, workers=2, retries=1)
    assert not execute([run], shown, settings=pool, results=tmp_path)
    assert [s.state for s in shown.states.values()] == ["died"]
    assert [e.retried for e in heard if e.kind == "died"] == [True, False]
    assert "given up" in text.getvalue() and not list(tmp_path.glob("*.jsonl"))


def test_a_process_starts_where_signals_cannot_be_blocked(monkeypatch) -> None:
    monkeypatch.delattr(signal, "pthread_sigmask", raising=False)  # as on Windows
    with local._no_interrupt():
        pass


def test_names_and_needs_are_checked(tmp_path: Path, settings: Settings, monkeypatch) -> None:
    shown, _, _ = board([])
    with pytest.raises(UnknownNameError, match="unknown engine 'spark'"):
        execute([], shown, engine="spark", settings=settings, results=tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PSLError, match=r"pip install 'psl\[ray\]'"):
        execute([], shown, engine="ray", settings=settings, results=tmp_path)


def record(config: RunConfig, seconds: float, fingerprint: str = "") -> dict[str, Any]:
    """What the plan reads of a record; the data is the registered unless said otherwise."""
    source = datasets.DATASETS.get((config.dataset, datasets.stored_setting(config.setting)))
    known = source.fingerprint if source else None
    return {
        "run_id": config.run_id,
        "config": config.as_dict(),
        "dataset_fingerprint": fingerprint or known,
        "seconds": seconds,
    }


def test_the_plan(monkeypatch) -> None:
    monkeypatch.delenv("PSL_DATA_MIRROR", raising=False)
    chosen = cells("table1", backbone=["mf"], loss=["sl", "bpr"])
    by = {(c.where["dataset"], c.where["loss"]): c.config for c in chosen}
    electronic, movie = by["amazon-electronic", "sl"], by["amazon-movie", "sl"]
    assert electronic and movie
    other = dataclasses.replace(movie, seed=7)
    plan = make_plan(chosen, [record(electronic, 100.0), record(other, 400.0)])
    assert [c.config for c in plan.recorded] == [electronic]
    assert {c.where["dataset"] for c, _ in plan.blocked} == {"amazon-book"}
    assert all("no data reachable" in reason for _, reason in plan.blocked)
    # The longest first: both of Gowalla, by its pairs, Movie (400 s), Electronic (100 s).
    order = [c.where["dataset"] for c in plan.todo]
    assert order == ["gowalla", "gowalla", "amazon-movie", "amazon-movie", "amazon-electronic"]
    basis = {c.config: plan.estimates[c.config.run_id] for c in plan.todo if c.config}
    assert basis[movie].seconds == 400 and "loss" in basis[movie].basis
    slow = by["amazon-movie", "bpr"]
    assert slow and basis[slow].seconds == 400 and basis[slow].basis.endswith("same dataset")
    size = {name: datasets.get_source(name).interactions for name in order}
    each = [100 / size["amazon-electronic"], 400 / size["amazon-movie"]]
    fast, typical = (basis[c] for c in (by["gowalla", "sl"], by["gowalla", "bpr"]) if c)
    assert fast.seconds == pytest.approx(min(each) * size["gowalla"])
    assert typical.seconds == pytest.approx(sum(each) / 2 * size["gowalla"])
    assert fast.basis == typical.basis == "records of other datasets, by their pairs"
    known = 400 + 400 + 100 + (fast.seconds or 0) + (typical.seconds or 0)
    assert plan.seconds() == (pytest.approx(known), 0)
    assert {j.experiment for j in plan.jobs()} == {"table1"} and len(plan.jobs()) == 5


def test_what_an_estimate_does_not_go_by() -> None:
    """A graph on other data, runs with fewer negatives, data of unknown size."""
    mf, graph = RunConfig("gowalla", loss="sl"), RunConfig("gowalla", "iid", "lightgcn", "sl")
    health = RunConfig("amazon-health", loss="sl")
    quick = record(dataclasses.replace(health, negatives=10), 1.0)
    assert estimate(mf, [quick]).seconds is None
    assert estimate(mf, [quick, record(health, 60.0)]).seconds > 60
    assert estimate(graph, [record(health, 60.0)]).seconds is None
    assert estimate(RunConfig(loss="sl"), [record(health, 60.0)]).seconds is None
    # One that patience ended at epoch 50 of 200 took its time for those 50.
    patient = dataclasses.replace(health, patience=2)
    stopped = {**record(patient, 50.0), "validation_curve": [{"epoch": 50}]}
    assert estimate(health, [stopped]).seconds == pytest.approx(health.epochs)


@pytest.mark.parametrize("setting", ["iid", "noise", "ood"])
def test_a_record_of_other_data_does_not_count(setting: str, monkeypatch) -> None:
    monkeypatch.delenv("PSL_DATA_MIRROR", raising=False)
    name = {"iid": "table1", "noise": "noise", "ood": "table2"}[setting]
    chosen = cells(name, dataset=["gowalla"], loss=["sl"])[:1]
    (config,) = [c.config for c in chosen if c.config]
    for fingerprint, counts in (("", 1), ("f" * 64, 0)):
        plan = make_plan(chosen, [record(config, 100.0, fingerprint)])
        assert len(plan.recorded) == counts and len(plan.todo) == 1 - counts
        assert plan.estimates[config.run_id].seconds == (100 if counts else None)
    # The data of the other setting is other data too.
    other = datasets.get_source("gowalla", "iid" if setting == "ood" else "ood").fingerprint
    assert not make_plan(chosen, [record(config, 100.0, str(other))]).recorded


def test_where_no_fingerprint_is_registered_every_record_counts(monkeypatch) -> None:
    for chosen in (cells("smoke")[:1], cells("table1", dataset=["amazon-book"])[:1]):
        (config,) = [c.config for c in chosen if c.config]
        assert len(make_plan(chosen, [record(config, 1.0, "f" * 64)]).recorded) == 1


def test_the_page_shows_the_record_of_the_registered_data() -> None:
    chosen = cells("table1", dataset=["gowalla"], loss=["sl"], backbone=["mf"])
    (config,) = [c.config for c in chosen if c.config]
    right = {**record(config, 60.0), "created": "2024", "metrics": {"recall@20": 0.1111}}
    wrong = {**record(config, 60.0, "f" * 64), "created": "2025", "metrics": {"recall@20": 0.9999}}
    page = sweep.html("x", make_plan(chosen, [right, wrong]), None, [right, wrong]).decode()
    assert "0.1111" in page and "0.9999" not in page


def test_another_result_recorded_meanwhile_fails_that_run_only(
    tmp_path: Path, settings: Settings
) -> None:
    jobs = [job(seed=0), job(seed=1)]
    shown, _, _ = board(jobs)
    assert execute(jobs[:1], board(jobs[:1])[0], settings=settings, results=tmp_path)
    (made,) = records.read(tmp_path)
    other = {**made, "metrics": {k: v / 2 for k, v in made["metrics"].items()}}
    records.append(tmp_path / "tiny.jsonl", other, replace=True)
    assert not execute(jobs, shown, settings=settings, results=tmp_path)
    assert [s.state for s in shown.states.values()] == ["failed", "done"]
    assert "with other metrics" in shown.states[jobs[0].config.run_id].text
    by_seed = {r["config"]["seed"]: r for r in records.read(tmp_path)}
    assert by_seed[0] == other and 1 in by_seed
    left = [p.name for p in settings.checkpoints.glob("*.safetensors")]
    assert left == [f"{jobs[0].config.run_id}.safetensors"], "the trained state is kept"


def test_an_experiment_that_is_no_file_name_starts_nothing(
    tmp_path: Path, settings: Settings
) -> None:
    bad = dataclasses.replace(job(), experiment="../x")
    shown, _, heard = board([bad])
    with pytest.raises(RecordError, match="is not a file name"):
        execute([bad], shown, settings=settings, results=tmp_path / "results")
    assert not heard


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
    shown = Board(jobs, console)
    for event in (
        Event(jobs[40].config.run_id, "started"),
        Event(jobs[40].config.run_id, "epoch", 1, 0.25),
        Event(jobs[30].config.run_id, "started"),
        Event(jobs[30].config.run_id, "failed", text="the loss is nan"),
    ):
        shown.hear(event)
    with console.capture() as capture:
        console.print(shown.table())
    lines = capture.get().splitlines()
    assert len(lines) <= 20
    running = next(line for line in lines if "running" in line)
    assert "1/2" in running and "0.2500" in running and " 40 " in running
    assert lines.index(running) < next(i for i, line in enumerate(lines) if "failed" in line)
    assert "1 running, 1 failed, 48 waiting" in capture.get()


def test_runs_of_a_sweep_have_names_of_their_own() -> None:
    """What differs is in the name, also in the live table; what does not is left out."""
    some = [c.config for c in cells("sensitivity", dataset="amazon-health", loss="sl")]
    called = names({config.run_id: config.as_dict() for config in some})
    assert len(set(called.values())) == len(some) > 5
    plain = names({str(s): dataclasses.replace(some[0], seed=s).as_dict() for s in (0, 1)})
    assert plain == {str(s): f"amazon-health iid mf sl seed {s}" for s in (0, 1)}
    console = Console(file=io.StringIO(), width=200, height=40, force_terminal=True)
    shown = Board([Job(config, "sensitivity") for config in some], console)
    with console.capture() as capture:
        console.print(shown.table())
    assert all(name.partition(", ")[2] in capture.get() for name in called.values())


def test_an_unknown_name_comes_back_from_another_process() -> None:
    error = UnknownNameError("loss", "psl-rely", ["psl-relu", "sl"])
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is UnknownNameError and str(again) == str(error)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch) -> Iterator[Any]:
    """Two Ray nodes on this machine, of one CPU each."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'psl[ray]'")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=node)
    try:
        nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
        nodes.wait_for_nodes()
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


def busy_workers() -> list[psutil.Process]:
    """Ray's processes below this one that execute a run now."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "ray::_work" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def test_ray_two_nodes_and_a_killed_worker(
    cluster: Any, tmp_path: Path, settings: Settings
) -> None:
    runs = [job(seed=0, epochs=60), job(seed=1, epochs=60), job(seed=2), job(seed=3, **HOPELESS)]
    killed: list[int] = []

    def kill(event: Event) -> None:
        # Only after the first whole epochs, when both nodes are at work.
        busy = busy_workers() if event.kind == "epoch" and not killed else []
        if len(busy) == 2:
            killed.append(busy[0].pid)
            busy[0].kill()

    shown, text, heard = board(runs, kill)
    on_ray = dataclasses.replace(settings, retries=1)
    assert not execute(runs, shown, engine="ray", settings=on_ray, results=tmp_path)
    assert len(killed) == 1, text.getvalue()
    assert "was lost" in text.getvalue() and "taken up again" in text.getvalue()
    assert [s.state for s in shown.states.values()] == ["done", "done", "done", "failed"]
    found = records.read(tmp_path)
    assert sorted(r["config"]["seed"] for r in found) == [0, 1, 2]
    (died,) = [e.run_id for e in heard if e.kind == "died"]
    again = next(run for run in runs if run.config.run_id == died)
    assert next(r for r in found if r["run_id"] == died)["metrics"] == alone(again)
    too_much = dataclasses.replace(settings, gpus_per_run=0.5)
    shown, _, _ = board(runs[2:3])
    with pytest.raises(PSLError, match="no node has that"):
        execute(runs[2:3], shown, engine="ray", settings=too_much, results=tmp_path)


def test_ray_shows_no_gpu_to_a_run_that_asks_for_none(tmp_path: Path) -> None:
    shown, _, _ = board([])
    with pytest.raises(PSLError, match="cuda:0 needs a part of a GPU"):
        execute([], shown, engine="ray", settings=Settings(device="cuda:0"), results=tmp_path)


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
    monkeypatch.setattr("psl.sweep.watch.time.monotonic", lambda: now[0])
    one = job(epochs=20)
    run_id, state = one.config.run_id, State(one)
    state.hear(Event(run_id, "started"))
    now[0] = 4.0
    state.hear(Event(run_id, "epoch", 11))  # it found ten of them done
    assert state.remaining() == 36
    state.hear(Event(run_id, "epoch", 15))
    state.hear(Event(run_id, "died", retried=True))
    state.hear(Event(run_id, "started"))
    now[0] = 10.0
    state.hear(Event(run_id, "epoch", 12))  # from an earlier state than it had told of
    assert state.epoch == 12 and state.remaining() == 6 * 8


def test_what_a_killed_worker_was_writing_goes_too(tmp_path: Path) -> None:
    one = job(epochs=1, negatives=5, dim=2)
    states = tmp_path / "states"
    states.mkdir()
    (states / f".{one.config.run_id}.safetensors.1a2b3c4d").touch()
    sheet = Board([one], Console(file=io.StringIO()))
    settings = Settings(states, "cpu", threads=1)
    assert execute([one], sheet, settings=settings, results=tmp_path)
    assert not list(states.iterdir())
