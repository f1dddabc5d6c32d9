"""The driver: it alone writes records, so that each is there once, whoever trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from companion import records
from companion.sweep.cluster import run_ray
from companion.sweep.jobs import Event, EventSink, Job, Settings, forget
from companion.sweep.local import run_local
from companion.sweep.watch import SweepProgress
from psl.errors import RecordError, UnknownNameError

__all__ = ["ENGINES", "execute"]

ENGINES: dict[str, Callable[[Sequence[Job], Settings, EventSink], None]] = {
    "local": run_local,
    "ray": run_ray,
}


def execute(
    jobs: Sequence[Job],
    board: SweepProgress,
    *,
    engine: str = "local",
    settings: Settings = Settings(),  # noqa: B008 - frozen
    results: Path = Path("results"),
) -> bool:
    """Execute runs, record each as it ends, and return whether every one was recorded.

    A run that fails or whose worker dies stops no other; ``board`` knows what became of each.
    After an interrupt the finished records are there, and a second call with the runs that are
    left goes on from their checkpoints.

    Raises
    ------
    PSLError
        If the engine is not known or cannot start, or an experiment's name is no file name.
    """
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    by_id = {job.config.run_id: job for job in jobs}
    for job in by_id.values():
        records.file_of(results, job.experiment)  # a name that is none is told before the first run

    def tell(event: Event) -> None:
        if event.record is not None:
            file = records.file_of(results, by_id[event.run_id].experiment)
            try:
                records.append(file, event.record)
            except RecordError as error:  # e.g. recorded meanwhile, with another result
                board.handle(Event(event.run_id, "failed", text=str(error)))
                return
            # Only now: until the record is on disk the checkpoint is all there is of the run.
            forget(settings.checkpoints, event.run_id)
        board.handle(event)

    with board:
        ENGINES[engine](list(by_id.values()), settings, tell)
    return all(state.state == "done" for state in board.states.values())
