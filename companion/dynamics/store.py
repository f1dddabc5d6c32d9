"""What was measured while a run trained: one file a run, read by one schema."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from companion.locks import write
from companion.records import content_digest
from psl.errors import RecordError

__all__ = ["FOLDER", "Point", "Trace", "read", "save"]

FOLDER = "dynamics"  # in the folder of the run records


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Point(_Strict):
    """The model after an epoch; NaN, for a group without a pair, is None in the file."""

    epoch: int
    loss: float  # mean of the epoch
    metrics: dict[str, float]  # on the test part
    share: dict[str, dict[str, float]]
    drawn: dict[str, float]
    distance: float
    row_weight: list[float | None]
    recall: list[float | None]


class Trace(_Strict):
    """A run and its points, as :func:`companion.dynamics.trace` makes them."""

    run_id: str
    config: dict[str, str | float | int | bool | None]
    dataset_fingerprint: str
    points: list[Point]
    seconds: float
    device: str
    created: str
    code_digest: str
    versions: dict[str, str]

    def at(self, epoch: int) -> Point:
        """Return the point of an epoch; KeyError if it was not measured."""
        for point in self.points:
            if point.epoch == epoch:
                return point
        raise KeyError(epoch)


def save(trace: Trace, results: Path) -> Path:
    """Write a run's file, whole or not at all, and return its path."""
    path = results / FOLDER / f"{trace.run_id}.json"
    content = trace.model_dump(mode="json")
    content["digest"] = content_digest(content)
    write(path, (json.dumps(content, sort_keys=True, allow_nan=False) + "\n").encode())
    return path


def read(results: Path) -> list[Trace]:
    """Return every run of the folder, by run id.

    Raises
    ------
    RecordError
        If a file is not what :func:`save` writes: cut off, changed, or under another run's name.
    """
    found = []
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
            digest = content.pop("digest", None)
            trace = Trace.model_validate(content)
        except (ValueError, AttributeError, TypeError) as error:
            raise RecordError(f"{path}: no measured run; delete it, and measure again") from error
        if digest != content_digest(content) or path.stem != trace.run_id:
            raise RecordError(f"{path}: it was changed after it was written; measure again")
        found.append(trace)
    return found
