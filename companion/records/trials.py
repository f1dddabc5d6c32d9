"""Trials kept in a file of their own: what was tried, how it came out, and which was best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from companion.locks import exclusive
from companion.records.schema import STRICT, Digest
from companion.released import PaperConfig
from psl.errors import PSLError, RecordError
from psl.files import replace_file

__all__ = ["PLACE", "Trial", "read_trials", "save_trials", "trial_files", "winners"]

TUNING = "tuning"  # in the folder of the run records
PLACE = ("dataset", "setting", "backbone", "loss")
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Trial(BaseModel):
    """A line of the file.

    Attributes
    ----------
    search : str
        Digest of what was searched; the trials of one search have one.
    number : int
        From 0, in the order in which they were made.
    fields : list of str
        What was searched.
    dataset_fingerprint : str
    config : dict
    state : {"complete", "pruned", "diverged"}
    score : float or None
        Its best validation NDCG@20.
    epoch : int or None
    seconds : float
    why : str
        Of one that diverged.
    made : dict
        Device, code, versions and time, as in a record.
    """

    model_config = ConfigDict(**STRICT, frozen=True)
    search: Digest
    number: Annotated[int, Field(ge=0)]
    fields: list[str]
    dataset_fingerprint: Fingerprint
    config: dict[str, Any]
    state: Literal["complete", "pruned", "diverged"]
    score: Annotated[float, Field(ge=0, le=1)] | None
    epoch: Annotated[int, Field(ge=1)] | None
    seconds: Annotated[float, Field(ge=0)]
    why: str = ""
    made: dict[str, Any]

    @property
    def place(self) -> tuple[str, ...]:
        """Dataset, setting, backbone and loss."""
        return tuple(self.config[k] for k in PLACE)


def save_trials(path: Path, new: Sequence[Trial]) -> None:
    """Write the trials of some searches into a file; those of other searches there stay.

    Raises
    ------
    RecordError
        If the file is there and holds something else.
    """
    with exclusive(path):
        there = read_trials(path) if path.exists() else []
        kept = [t for t in there if t.search not in {n.search for n in new}]
        lines = [json.dumps(t.model_dump(), sort_keys=True) + "\n" for t in (*kept, *new)]
        replace_file(path, "".join(lines).encode())


def read_trials(path: Path) -> list[Trial]:
    """Read and check a file of trials.

    Raises
    ------
    RecordError
        Which names the line, and what is wrong with it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not text"
        raise RecordError(f"{path} cannot be read: {said}") from error
    out: list[Trial] = []
    for number, line in enumerate(lines, 1):
        try:
            trial = Trial.model_validate_json(line)
            if PaperConfig(**trial.config).as_dict() != trial.config:
                raise RecordError("the configuration is not one that this version writes")
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise RecordError(f"{path}:{number}: no trial ({where}: {first['msg']})") from None
        except (PSLError, TypeError) as error:
            raise RecordError(f"{path}:{number}: no trial ({error})") from error
        out.append(trial)
    return out


def trial_files(results: Path) -> list[Path]:
    """Return the files of trials beside the run records."""
    return sorted((results / TUNING).glob("benchmark*.jsonl"))


def winners(trials: Sequence[Trial]) -> Mapping[tuple[str, ...], Trial]:
    """Return the complete trial with the highest score of each place; of two alike the first."""
    best: dict[tuple[str, ...], Trial] = {}
    for trial in trials:
        if trial.state != "complete" or trial.score is None:
            continue
        known = best.get(trial.place)
        if known is None or trial.score > (known.score or 0.0):
            best[trial.place] = trial
    return best
