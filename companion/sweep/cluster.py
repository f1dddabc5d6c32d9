"""The engine of many machines: Ray places the runs; what they give is recorded by the driver.

Every node needs this package, of the same version.  A dataset is fetched on the node that needs it.
A run that is taken up on another node goes on from its checkpoint if the folder is shared, else it
starts again; the record is the same.  On a node whose folder is not shared a state stays when its
run is recorded: its name has the digest of the code, and no other code goes on from it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from companion.freed_memory import keep_freed_memory
from companion.sweep.jobs import Event, EventSink, Job, Settings, run_job
from psl.errors import PSLError
from psl.training.provenance import CODE_DIGEST

__all__ = ["run_ray"]

FORWARDED = ("PSL_DATA_MIRROR", "PSL_CACHE", "PSL_KERNELS")
TICK_SECONDS = 0.5


def run_ray(jobs: Sequence[Job], settings: Settings, tell: EventSink) -> None:
    """Execute jobs on a Ray cluster, in order as far as there is room.

    Raises
    ------
    PSLError
        If Ray is not installed, no cluster answers, or no node of it could take a run; or a GPU is
        wanted and no part of one asked for: Ray shows such a run none.
    """
    if settings.device.startswith("cuda") and not settings.gpus_per_run:
        raise PSLError(
            f"with the engine ray, {settings.device} needs a part of a GPU for each run: "
            "--gpus-per-run 1, or 0.25 for four at once"
        )
    address = settings.address or os.environ.get("RAY_ADDRESS")
    if not address:  # Ray has no other way to say it, and reads this when it is imported
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray
    except ImportError as error:
        raise PSLError("the engine ray needs Ray: pip install 'psl[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address or "local")
    try:
        _RayPool(ray, settings, tell).run(list(jobs))
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a local cluster reports to nobody
    try:
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PSLError(f"no Ray cluster at {address}: {reason}") from error


class _RayPool:
    """The runs of one call, the tasks behind them, and the mailbox of their progress."""

    def __init__(self, ray: Any, settings: Settings, tell: EventSink) -> None:
        self.ray, self.tell = ray, tell
        # A worker's folder is not the driver's.
        self.settings = dataclasses.replace(settings, checkpoints=settings.checkpoints.resolve())
        self.threads = settings.threads or 1
        self._check_room()
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        self.mailbox = ray.remote(_Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        self.task = ray.remote(_work).options(
            num_cpus=self.threads,
            num_gpus=settings.gpus_per_run,
            max_retries=0,  # the driver retries, so that a death is told
        )
        self.flying: dict[Any, tuple[Job, int]] = {}

    def run(self, jobs: list[Job]) -> None:
        waiting = [(job, 0) for job in jobs]
        try:
            while waiting or self.flying:
                while waiting and len(self.flying) < (self.settings.workers or len(jobs)):
                    self._start(*waiting.pop(0))
                ready, _ = self.ray.wait(list(self.flying), timeout=TICK_SECONDS)
                self._read_mail()
                for reference in ready:
                    if (again := self._collect(reference)) is not None:
                        waiting.insert(0, again)
        finally:
            for reference in self.flying:
                self.ray.cancel(reference, force=True)
            self.ray.kill(self.mailbox)

    def _start(self, job: Job, attempt: int) -> None:
        environment = {k: os.environ[k] for k in FORWARDED if k in os.environ}
        reference = self.task.remote(job, self.settings, self.threads, environment, self.mailbox)
        self.flying[reference] = (job, attempt)

    def _collect(self, reference: Any) -> tuple[Job, int] | None:
        job, attempt = self.flying.pop(reference)
        run_id = job.config.run_id
        try:
            self.tell(self.ray.get(reference))
        except self.ray.exceptions.RayTaskError as error:  # raised in the task: no node's fault
            self.tell(Event(run_id, "failed", text=str(error.cause)))
        except self.ray.exceptions.RayError as error:
            again = attempt < self.settings.retries
            what = f"the worker or its node was lost ({type(error).__name__})"
            self.tell(Event(run_id, "died", text=what, retried=again))
            return (job, attempt + 1) if again else None
        return None

    def _read_mail(self) -> None:
        """Tell what arrived.  Progress is for the eye: a lost mailbox costs no result."""
        try:
            events = self.ray.get(self.mailbox.take.remote(), timeout=10)
        except (self.ray.exceptions.RayError, TimeoutError):
            return
        running = {job.config.run_id for job, _ in self.flying.values()}
        for event in events:
            if event.run_id in running:
                self.tell(event)

    def _check_room(self) -> None:
        need = {"CPU": float(self.threads), "GPU": self.settings.gpus_per_run}
        nodes = [n["Resources"] for n in self.ray.nodes() if n["Alive"]]
        if not any(all(node.get(k, 0.0) >= v for k, v in need.items()) for node in nodes):
            have = "; ".join(", ".join(f"{node.get(k, 0.0):g} {k}" for k in need) for node in nodes)
            raise PSLError(
                f"a run asks for {self.threads} CPU and {self.settings.gpus_per_run:g} GPU, and no "
                f"node has that (nodes: {have}); lower --threads or --gpus-per-run"
            )


class _Mailbox:
    """An actor that keeps what workers say until the driver asks."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def take(self) -> list[Event]:
        taken, self.events = self.events, []
        return taken


def _work(
    job: Job, settings: Settings, threads: int, environment: dict[str, str], mailbox: Any
) -> Event:
    import torch

    for name, value in environment.items():
        os.environ.setdefault(name, value)  # a node's own settings win
    torch.set_num_threads(threads)
    keep_freed_memory()
    return run_job(job, settings, lambda event: mailbox.put.remote(event), code=CODE_DIGEST)
