"""What a sweep looks like while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table

from companion.clock import LINE_SECONDS, duration
from companion.records import METRICS, names
from companion.sweep.jobs import Event, Job
from psl.training import RunConfig

__all__ = ["RunStatus", "SweepProgress"]

ORDER = ("running", "died", "failed", "waiting", "done", "stopped")


@dataclass
class RunStatus:
    """Where a run of the sweep stands."""

    job: Job
    state: str = "waiting"
    epoch: int = 0
    validation: float | None = None
    started: float | None = None  # monotonic, of this attempt
    first: int | None = None  # epoch that this attempt found already done
    elapsed: float = 0.0
    said: float = 0.0
    text: str = ""
    metrics: dict[str, float] | None = None

    def handle(self, event: Event) -> None:
        """Take an event in."""
        now = time.monotonic()
        if event.kind == "started":
            self.state, self.started, self.first, self.said = "running", now, None, now
            self.epoch = 0  # what a lost worker had done since its last state is done again
        elif event.kind in ("epoch", "alive"):
            done = event.epoch
            if self.first is None:
                self.first = done - 1 if event.kind == "epoch" else done
            self.epoch = max(done, self.epoch)
            if event.validation is not None:
                self.validation = event.validation
        else:
            self.state, self.text = event.kind, event.text
            if event.retried:
                self.state = "waiting"
            if event.record is not None:
                self.metrics = event.record["metrics"]
                self.epoch = self.job.config.epochs
        if self.started is not None:
            self.elapsed = now - self.started

    def remaining(self) -> float | None:
        """Return the expected seconds to the last epoch; ``None`` before a whole epoch."""
        if self.state != "running" or self.started is None or self.first is None:
            return None
        here = self.epoch - self.first
        left = self.job.config.epochs - self.epoch
        return (time.monotonic() - self.started) / here * left if here else None


class SweepProgress:
    """The states of all runs of a sweep, and their display."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.states = {job.config.run_id: RunStatus(job) for job in jobs}
        self.names = names({job.config.run_id: job.config.as_dict() for job in jobs})
        self.console = console
        self.live = (
            Live(console=console, get_renderable=self.table, refresh_per_second=2, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> SweepProgress:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            self.live.stop()
        for state in self.states.values():
            if state.state in ("running", "waiting"):
                state.state = "stopped" if state.started is not None else "not started"

    def handle(self, event: Event) -> None:
        """Take an event in and show what is worth a line."""
        state = self.states[event.run_id]
        state.handle(event)
        now = time.monotonic()
        name = self.names[event.run_id]
        if event.kind == "died":
            then = "taken up again" if event.retried else "given up"
            self._line(f"died     {name}: {event.text}; {then}")
        elif event.kind == "failed":
            self._line(f"failed   {name}: {event.text}")
        elif event.kind == "done":
            assert state.metrics is not None
            scores = ", ".join(f"{k} {state.metrics[k]:.4f}" for k in METRICS)
            self._line(f"done     {name}: {scores}, {duration(state.elapsed)}")
        elif event.kind == "started":
            self._line(f"started  {name}")
        elif now - state.said > LINE_SECONDS and not self.live:
            state.said = now
            left = state.remaining()
            then = f", about {duration(left)} left" if left is not None else ""
            self._line(f"epoch    {name}: {state.epoch}/{state.job.config.epochs}{then}")

    def count(self) -> str:
        """Return how many runs are in each state, in words."""
        states = [s.state for s in self.states.values()]
        order = [*ORDER, *sorted(set(states) - set(ORDER))]
        return ", ".join(f"{states.count(name)} {name}" for name in order if name in states)

    def table(self) -> Table:
        """Draw the runs that matter most, as many as the terminal has room for."""
        columns = ("dataset", "model", "seed", "state", "epoch", "valid", "elapsed", "left")
        table = Table(*(Column(name, no_wrap=True) for name in columns), caption=self.count())
        room = max(3, self.console.height - 6)
        states = sorted(self.states.values(), key=lambda s: _rank(s.state))
        for state in states[:room]:
            config, left = state.job.config, state.remaining()
            apart = self.names[config.run_id].partition(", ")[2]
            running = state.state == "running" and state.started is not None
            spent = time.monotonic() - (state.started or 0) if running else state.elapsed
            table.add_row(
                f"{config.dataset} {_place(config)}",
                " ".join(filter(None, (config.backbone, config.loss, config.form, apart))),
                str(config.seed),
                state.state,
                f"{state.epoch}/{config.epochs}",
                f"{state.validation:.4f}" if state.validation is not None else "-",
                duration(spent) if state.started is not None else "-",
                duration(left) if left is not None else "-",
            )
        return table

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)


def _place(config: RunConfig) -> str:
    ratio = f" {config.noise_ratio:g}" if config.noise_ratio is not None else ""
    return f"{config.setting}{ratio}"


def _rank(state: str) -> int:
    return ORDER.index(state) if state in ORDER else len(ORDER)
