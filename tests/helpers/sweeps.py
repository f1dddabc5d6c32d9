"""Small runs of a sweep, a board without a terminal, and what a plan reads of a record."""

from __future__ import annotations

import io
from typing import Any

import torch
from rich.console import Console

from companion import datasets
from companion.released import PaperConfig
from companion.sweep import Event, Job, SweepProgress
from psl.dataset import stored_setting
from psl.training import train

TINY: dict[str, Any] = {"epochs": 2, "negatives": 20, "dim": 8}
HOPELESS: dict[str, Any] = {"loss": "bpr", "lr": 1e30}  # its loss overflows in the first epoch


def job(**changes: Any) -> Job:
    return Job(PaperConfig(**{**TINY, **changes}), "tiny")


def board(
    jobs: list[Job], then: Any = lambda _: None
) -> tuple[SweepProgress, io.StringIO, list[Event]]:
    """A board without a terminal, what it printed, and what it heard; ``then`` sees each event."""
    text, heard = io.StringIO(), []

    class Listening(SweepProgress):
        def handle(self, event: Event) -> None:
            heard.append(event)
            super().handle(event)
            then(event)

    return Listening(jobs, Console(file=text, width=200)), text, heard


def alone(run: Job) -> dict[str, float]:
    """Metrics of the run when nothing interrupts it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train(run.config, datasets.load(), device="cpu").record["metrics"]
    finally:
        torch.set_num_threads(before)


def record(config: PaperConfig, seconds: float, fingerprint: str = "") -> dict[str, Any]:
    """What the plan reads of a record; the data is the registered unless said otherwise."""
    source = datasets.DATASETS.get((config.dataset, stored_setting(config.setting)))
    known = source.fingerprint if source else None
    return {
        "run_id": config.run_id,
        "config": config.as_dict(),
        "dataset_fingerprint": fingerprint or known,
        "seconds": seconds,
        "device": "cpu",
    }
