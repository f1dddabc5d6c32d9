"""The engine of one machine: this process, or processes that are started for one run each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from companion.freed_memory import keep_freed_memory
from companion.sweep.jobs import Event, EventSink, Job, Settings, run_job
from companion.threads import torch_threads

__all__ = ["run_local"]

GRACE_SECONDS = 10.0


def run_local(jobs: Sequence[Job], settings: Settings, tell: EventSink) -> None:
    """Execute jobs in order, ``settings.workers`` at once (0: one)."""
    if settings.workers > 1:
        _Pool(settings, tell).run(list(jobs))
        return
    with torch_threads(settings.threads):
        for job in jobs:
            tell(run_job(job, settings, tell))


@dataclass
class _Worker:
    job: Job
    process: BaseProcess
    attempt: int


class _Pool:
    """A process for each run: one that dies takes no other with it, and leaves no memory behind."""

    def __init__(self, settings: Settings, tell: EventSink) -> None:
        self.settings, self.tell = settings, tell
        self.threads = settings.threads or max(1, (os.cpu_count() or 1) // settings.workers)
        self.workers: dict[Connection, _Worker] = {}
        # Read by each worker when its torch loads: threads that wait leave the core to other runs.
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")

    def run(self, jobs: list[Job]) -> None:
        waiting = [(job, 0) for job in jobs]
        try:
            while waiting or self.workers:
                while waiting and len(self.workers) < self.settings.workers:
                    self._start(*waiting.pop(0))
                # A time limit: on some platforms an endless wait does not hear Ctrl-C.
                for pipe in wait(list(self.workers), timeout=1):
                    assert isinstance(pipe, Connection)
                    if (again := self._handle(pipe)) is not None:
                        waiting.insert(0, again)
        finally:
            self._stop()

    def _start(self, job: Job, attempt: int) -> None:
        ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
        with _no_interrupt():
            process = multiprocessing.get_context("spawn").Process(
                target=_work, args=(job, self.settings, self.threads, theirs), daemon=True
            )
            process.start()
        theirs.close()  # with the worker's end gone too, its death is the end of the pipe
        self.workers[ours] = _Worker(job, process, attempt)

    def _handle(self, pipe: Connection) -> tuple[Job, int] | None:
        """Pass one event on; return the job if it must be started again."""
        worker = self.workers[pipe]
        try:
            event: Event = pipe.recv()
        except (EOFError, OSError):
            self._join(pipe)
            code = worker.process.exitcode or 0
            what = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
            again = worker.attempt < self.settings.retries
            run_id = worker.job.config.run_id
            self.tell(Event(run_id, "died", text=f"the worker ended {what}", retried=again))
            return (worker.job, worker.attempt + 1) if again else None
        if event.kind in ("done", "failed"):
            self._join(pipe)
        self.tell(event)
        return None

    def _join(self, pipe: Connection) -> None:
        worker = self.workers.pop(pipe)
        worker.process.join()
        pipe.close()

    def _stop(self) -> None:
        for worker in self.workers.values():
            worker.process.terminate()  # at worst within an epoch: its checkpoint is whole
        for pipe, worker in list(self.workers.items()):
            worker.process.join(GRACE_SECONDS)
            worker.process.kill()
            self._join(pipe)


def _work(job: Job, settings: Settings, threads: int, pipe: Connection) -> None:
    def tell(event: Event) -> None:
        try:
            pipe.send(event)
        except OSError:  # whoever started this process is gone
            os._exit(1)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a half-written file is removed
    torch.set_num_threads(threads)
    keep_freed_memory()
    tell(run_job(job, settings, tell))


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Start a process that Ctrl-C and a hangup do not reach: who started it is to end it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # else starting it would lift the block below
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
