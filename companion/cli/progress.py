"""What one run shows while it trains: bars on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from companion.cli.console import err, say
from companion.clock import LINE_SECONDS, duration
from psl.training import Progress, RunConfig

__all__ = ["EpochBars", "EpochLines", "watching"]


@contextmanager
def watching(config: RunConfig, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Give what the trainer is to tell of its steps and epochs."""
    if quiet:
        yield lambda _: None
    elif not err.is_terminal:
        yield EpochLines(config).show
    else:
        shown = EpochBars(config)
        try:
            yield shown.show
        finally:
            shown.bars.stop()


class EpochBars:
    """Bars, eighty columns wide: epochs with loss, validation and time left; steps with rate."""

    def __init__(self, config: RunConfig) -> None:
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
        )
        self.whole = self.bars.add_task("epochs", total=config.epochs, note="")
        self.epoch = self.bars.add_task("steps", total=None, note="")
        self.validation = "-"

    def show(self, p: Progress) -> None:
        """Draw what the trainer tells."""
        self.bars.start()  # not before the first step: a refused run shows its one line only
        if p.loss is None:
            speed = self.bars.tasks[self.epoch].speed
            rate = f"{speed:.1f} steps/s" if speed else ""
            self.bars.update(self.epoch, completed=p.step, total=p.steps, note=rate)
            return
        self.validation = f"{p.validation:.4f}" if p.validation is not None else self.validation
        note = f"loss {p.loss:.4f}  NDCG@20 {self.validation}"
        self.bars.update(self.whole, completed=p.epoch, note=note)


class EpochLines:
    """Lines for a log: after the first epoch, then one a minute at most, and after the last."""

    def __init__(self, config: RunConfig) -> None:
        self.epochs = config.epochs
        self.started, self.said = time.monotonic(), -math.inf
        self.first: int | None = None  # epochs that were done before this process
        self.validation = "-"

    def show(self, p: Progress) -> None:
        """Write a line if it is time for one."""
        if p.loss is None:
            return
        now = time.monotonic()
        self.first = p.epoch - 1 if self.first is None else self.first
        self.validation = f"{p.validation:.4f}" if p.validation is not None else self.validation
        if now - self.said < LINE_SECONDS and p.epoch < self.epochs:
            return
        self.said = now
        each = (now - self.started) / (p.epoch - self.first)
        say(
            f"epoch {p.epoch}/{self.epochs}: loss {p.loss:.4f}, validation NDCG@20 "
            f"{self.validation}; {each:.2g} s an epoch, about "
            f"{duration(each * (self.epochs - p.epoch))} left",
            err,
        )
