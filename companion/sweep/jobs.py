"""One run of a sweep, wherever it is executed: what goes in, what is told, what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from companion import datasets
from companion.locks import InUseError, exclusive
from companion.released import PaperConfig
from psl.dataset import Dataset, stored_setting
from psl.errors import PSLError
from psl.training import Progress, train

__all__ = ["Event", "EventSink", "Job", "Settings", "forget", "run_job"]

HEARTBEAT_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """A run, the experiment whose file its record goes to, and an archive of one's own."""

    config: PaperConfig
    experiment: str = "sweep"
    file: Path | None = None


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
        Of a Ray cluster, ``auto`` for one that runs on this machine; without it, and without
        ``RAY_ADDRESS``, one is started that listens to this machine alone.
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


def run_job(job: Job, settings: Settings, tell: EventSink, *, code: str = "") -> Event:
    """Train and return the last event, ``done`` or ``failed``; a checkpoint is gone on from.

    With ``code`` only one that this code wrote; those of others are deleted.
    """
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
    name = f"{config.run_id}.{code}" if code else config.run_id
    state = settings.checkpoints / f"{name}.safetensors"
    try:
        with _alone(settings.checkpoints, config.run_id):
            for old in _states(settings.checkpoints, config.run_id) if code else ():
                if old != state:
                    old.unlink(missing_ok=True)
            result = train(
                config,
                _data(str(job.file or config.dataset), stored_setting(config.setting)),
                device=settings.device,
                checkpoint=state,
                experiment=job.experiment,
                progress=progress,
            )
    except InUseError:
        words = "another process trains it; when that has ended, the same command goes on"
        return Event(config.run_id, "failed", text=words)
    except PSLError as error:
        return Event(config.run_id, "failed", text=str(error))
    except Exception as error:  # a full disk, no memory on the device: the others go on
        return Event(config.run_id, "failed", text=f"{type(error).__name__}: {error}")
    return Event(config.run_id, "done", record=result.record)


def forget(checkpoints: Path, run_id: str) -> None:
    """Delete the states of a recorded run, and what a killed worker was writing.

    Another process that is at the same run keeps its own.
    """
    with suppress(InUseError), _alone(checkpoints, run_id):
        for path in _states(checkpoints, run_id):
            path.unlink(missing_ok=True)


def _alone(checkpoints: Path, run_id: str) -> AbstractContextManager[None]:
    return exclusive(checkpoints / f"{run_id}.safetensors", wait=False, remove=True)


def _states(checkpoints: Path, run_id: str) -> list[Path]:
    """Return the states of a run, with whichever code in their name, and parts of one."""
    every = checkpoints.glob(f"*{run_id}*.safetensors*")
    return [path for path in every if ".refit." not in path.name and path.suffix != ".lock"]


@lru_cache(maxsize=2)
def _data(name: str, setting: str) -> Dataset:
    return datasets.load(name, setting)
