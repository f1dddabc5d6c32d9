"""One run of a sweep, wherever it is executed: what goes in, what is told, what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from companion.released import PaperConfig
from psl import datasets
from psl.errors import PSLError
from psl.training import Progress, train

__all__ = ["Event", "EventSink", "Job", "Settings", "run_job"]

HEARTBEAT_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """A run and the experiment whose file its record goes to."""

    config: PaperConfig
    experiment: str = "sweep"


@dataclass(frozen=True)
class Settings:
    """How a sweep is executed; nothing here decides a result.

    Attributes
    ----------
    checkpoints : Path
        Folder of the states that a stopped run goes on from.
    device : str
        As for :func:`psl.training.train`.
    workers : int
        Runs at once; 0 leaves that to the engine.
    threads : int
        Torch's threads in each run; 0 leaves that to the engine.
    retries : int
        Times that a run is taken up again after its worker died.
    address : str, optional
        Of a Ray cluster; without it a cluster on this machine is found or started.
    gpus_per_run : float
        Part of a GPU that Ray reserves for a run.
    """

    checkpoints: Path = Path(".psl")
    device: str = "auto"
    workers: int = 0
    threads: int = 0
    retries: int = 2
    address: str | None = None
    gpus_per_run: float = 0.0


@dataclass(frozen=True)
class Event:
    """What an engine tells of a run.

    ``started``, ``epoch`` and ``alive`` (between epochs) come any number of times, then one of
    ``done`` (with the record), ``failed`` (never tried again: the same would come out).  ``died``
    says that a worker was lost; ``retried`` tells whether the run is taken up again.
    """

    run_id: str
    kind: Literal["started", "alive", "epoch", "done", "failed", "died"]
    epoch: int = 0
    validation: float | None = None
    text: str = ""
    record: dict[str, Any] | None = None
    retried: bool = False


EventSink = Callable[[Event], None]


def run_job(job: Job, settings: Settings, tell: EventSink) -> Event:
    """Train and return the last event, ``done`` or ``failed``; a checkpoint is gone on from."""
    config, last = job.config, time.monotonic()

    def progress(p: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if p.loss is not None:
            tell(Event(config.run_id, "epoch", p.epoch, p.validation))
        elif now - last > HEARTBEAT_SECONDS:  # a worker notices here that nobody listens
            tell(Event(config.run_id, "alive", p.epoch - 1))
        else:
            return
        last = now

    tell(Event(config.run_id, "started"))
    try:
        result = train(
            config,
            _data(config.dataset, datasets.stored_setting(config.setting)),
            device=settings.device,
            checkpoint=settings.checkpoints / f"{config.run_id}.safetensors",
            experiment=job.experiment,
            progress=progress,
        )
    except PSLError as error:
        return Event(config.run_id, "failed", text=str(error))
    except Exception as error:  # a full disk, no memory on the device: the others go on
        return Event(config.run_id, "failed", text=f"{type(error).__name__}: {error}")
    return Event(config.run_id, "done", record=result.record)


@lru_cache(maxsize=2)
def _data(name: str, setting: str) -> datasets.Dataset:
    return datasets.load(name, setting)
