"""Ray: two nodes on this machine, and a worker killed on one of them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from companion import records
from companion.sweep import Event, Settings, execute
from companion.sweep.jobs import run_job
from psl.errors import PSLError
from sweeps import HOPELESS, alone, board, job

pytestmark = pytest.mark.first


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


LISTENING = """
from pathlib import Path
import psutil
from companion.sweep import Settings, cluster

class Look:
    def __init__(self, *_):
        pass
    def run(self, jobs):
        everyone = [psutil.Process(), *psutil.Process().children(recursive=True)]
        assert len(everyone) > 2
        for process in everyone:
            for c in process.net_connections("tcp"):
                if c.status == "LISTEN":
                    print(c.laddr.ip.removeprefix("::ffff:"))

cluster._RayPool = Look
cluster.run_ray([], Settings(Path("states"), "cpu"), print)
"""


def test_a_cluster_that_is_started_listens_to_this_machine_alone(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'psl[ray]'")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", LISTENING],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"127.0.0.1"}


def test_a_state_of_another_code_is_not_gone_on_from(tmp_path: Path, settings: Settings) -> None:
    """On a node whose folder the driver does not see, what was recorded once is still there."""
    run, events = job(), []
    first = run_job(run, settings, events.append, code="0" * 16)
    (state,) = settings.checkpoints.glob("*.safetensors")
    assert first.kind == "done" and "0" * 16 in state.name
    for code, trained in (("0" * 16, 0), ("1" * 16, run.config.epochs)):
        events.clear()
        assert run_job(run, settings, events.append, code=code).record is not None
        assert [e.kind for e in events].count("epoch") == trained
    assert [p.name for p in settings.checkpoints.iterdir()] == [
        f"{run.config.run_id}.{'1' * 16}.safetensors"
    ]
