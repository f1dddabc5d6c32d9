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
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from companion import records, sweep
from companion.experiments import cells
from companion.locks import exclusive
from companion.sweep import Event, Job, Settings, SweepProgress, execute, local
from companion.sweep.jobs import forget
from psl.errors import PSLError, RecordError, UnknownNameError
from run_records import sealed
from sweeps import HOPELESS, alone, board, job


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


def test_another_result_recorded_meanwhile_fails_that_run_only(
    tmp_path: Path, settings: Settings
) -> None:
    jobs = [job(seed=0), job(seed=1)]
    shown, _, _ = board(jobs)
    assert execute(jobs[:1], board(jobs[:1])[0], settings=settings, results=tmp_path)
    (made,) = records.read(tmp_path)
    other = sealed({**made, "metrics": {k: v / 2 for k, v in made["metrics"].items()}})
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


def test_runs_of_a_sweep_have_names_of_their_own() -> None:
    """What differs is in the name, also in the live table; what does not is left out."""
    some = [c.config for c in cells("sensitivity", dataset="amazon-health", loss="sl")]
    called = records.names({config.run_id: config.as_dict() for config in some})
    assert len(set(called.values())) == len(some) > 5
    plain = records.names({str(s): dataclasses.replace(some[0], seed=s).as_dict() for s in (0, 1)})
    assert plain == {str(s): f"amazon-health iid mf sl seed {s}" for s in (0, 1)}
    console = Console(file=io.StringIO(), width=200, height=40, force_terminal=True)
    shown = SweepProgress([Job(config, "sensitivity") for config in some], console)
    with console.capture() as capture:
        console.print(shown.table())
    assert all(name.partition(", ")[2] in capture.get() for name in called.values())


def test_an_unknown_name_comes_back_from_another_process() -> None:
    error = UnknownNameError("loss", "psl-rely", ["psl-relu", "sl"])
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is UnknownNameError and str(again) == str(error)


def test_what_a_killed_worker_was_writing_goes_too(tmp_path: Path) -> None:
    one = job(epochs=1, negatives=5)
    states = tmp_path / "states"
    states.mkdir()
    (states / f".{one.config.run_id}.safetensors.1a2b3c4d").touch()
    sheet = SweepProgress([one], Console(file=io.StringIO()))
    settings = Settings(states, "cpu", threads=1)
    assert execute([one], sheet, settings=settings, results=tmp_path)
    assert not list(states.iterdir())


def test_two_sweeps_at_once_leave_each_other_alone(tmp_path: Path, settings: Settings) -> None:
    """While another process trains a run, it is not trained, and its files are not deleted."""
    run = job(epochs=1)
    path = settings.checkpoints / f"{run.config.run_id}.safetensors"
    for engine in (settings, dataclasses.replace(settings, workers=2)):
        shown, text, _ = board([run])
        with exclusive(path, wait=False):
            path.write_bytes(b"of the other")
            assert not execute([run], shown, settings=engine, results=tmp_path)
            forget(settings.checkpoints, run.config.run_id)
            assert path.read_bytes() == b"of the other" and not list(tmp_path.glob("*.jsonl"))
        assert "another process trains it" in text.getvalue()
        path.unlink()
    assert execute([run], board([run])[0], settings=settings, results=tmp_path)
    assert not list(settings.checkpoints.iterdir())


def test_the_states_of_other_commands_stay(tmp_path: Path, settings: Settings) -> None:
    run = job(epochs=1)
    settings.checkpoints.mkdir()
    refit = settings.checkpoints / f"{run.config.run_id}.refit.safetensors"
    refit.touch()
    assert execute([run], board([run])[0], settings=settings, results=tmp_path)
    assert list(settings.checkpoints.iterdir()) == [refit]
