"""The bars of one run."""

from __future__ import annotations

from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from psl.cli.console import err
from psl.training import Progress, RunConfig

__all__ = ["EpochBars"]


class EpochBars:
    """Progress on the terminal: the epoch, its steps, loss, validation, rate, time left."""

    def __init__(self, config: RunConfig, quiet: bool) -> None:
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
            disable=quiet,
        )
        self.whole = self.bars.add_task(f"{config.loss} epochs", total=config.epochs, note="")
        self.epoch = self.bars.add_task("steps", total=None, note="")
        self.validation = "-"

    def __enter__(self) -> tuple[Bars, Any]:
        return self.bars, self.show

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, p: Progress) -> None:
        """Draw what the trainer tells."""
        self.bars.start()  # not before the first step: a refused run shows its one line only
        if p.loss is None:
            speed = self.bars.tasks[self.epoch].speed
            rate = f"{speed:.1f} steps/s" if speed else ""
            self.bars.update(self.epoch, completed=p.step, total=p.steps, note=rate)
            return
        self.validation = f"{p.validation:.4f}" if p.validation is not None else self.validation
        note = f"loss {p.loss:.4f}  valid NDCG@20 {self.validation}"
        self.bars.update(self.whole, completed=p.epoch, note=note)
