"""Whether a recorded run comes out again, asked of its first epochs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from companion.released import PaperConfig
from companion.threads import torch_threads
from psl.dataset import Dataset
from psl.errors import TrainingError
from psl.training.device import find_device
from psl.training.epoch import Progress
from psl.training.loop import train

__all__ = ["TOLERANCES", "Rerun", "allowed_gap", "recorded_threads", "rerun"]

# Of a run that is trained again where it was, and on another GPU or across GPU and CPU: training
# enlarges the last digits, in which they differ.
TOLERANCES = (1e-6, 1e-3)


def allowed_gap(now: str, then: str) -> float:
    """Return how far a run may be from its record, by the devices of both in a record's words."""
    across = now != then and not all(device.startswith("cpu") for device in (now, then))
    return TOLERANCES[across]


@dataclass(frozen=True)
class Rerun:
    """A run's first validation, as recorded and as it comes out now.

    Attributes
    ----------
    epoch : int
        Of the validation.
    recorded : dict
        ``loss``, the mean of the epoch, and ``ndcg@20`` on the validation part.
    now : dict
        The same.
    device : str
        Where it was trained now, in the words of a record.
    """

    epoch: int
    recorded: dict[str, float]
    now: dict[str, float]
    device: str

    @property
    def gap(self) -> float:
        """The larger of the two differences; 0 where every bit is the same."""
        gaps = [abs(self.now[key] - value) for key, value in self.recorded.items()]
        return float(np.max(gaps))  # what is not a number stays one


def rerun(
    record: dict[str, Any],
    data: Dataset,
    *,
    device: str = "auto",
    progress: Callable[[Progress], None] = lambda _: None,
) -> Rerun:
    """Train a recorded run again as far as its first validation.

    A run is decided by its configuration and its data, so its first epochs tell in a fraction of
    the time whether this code, here, would give the record again.  They do not tell it for certain:
    what differs in a later epoch alone is not seen.  On a CPU it gets the recorded number of
    threads: torch adds up in another order on another number.

    Parameters
    ----------
    record : dict
        As :func:`companion.records.read` returns it.
    data : Dataset
    device, progress
        As :func:`psl.training.train`.

    Raises
    ------
    TrainingError
        If the data is not that of the record, or the record has no validation or a configuration
        of another version; and as :func:`psl.training.train`.
    """
    if data.fingerprint != record["dataset_fingerprint"]:
        raise TrainingError(f"{data.name} is not the data that the run {record['run_id']} was of")
    if not record["validation_curve"]:
        raise TrainingError(f"the run {record['run_id']} has no validation to compare with")
    then = record["validation_curve"][0]
    try:
        config = replace(PaperConfig(**record["config"]), epochs=then["epoch"])
    except TypeError as error:  # a key that this version does not know
        raise TrainingError(f"the configuration does not load ({error})") from error
    with torch_threads(recorded_threads(record, device)):
        found = train(config, data, device=device, progress=progress).record
    now = found["validation_curve"][0]
    recorded, again = ({k: point[k] for k in ("loss", "ndcg@20")} for point in (then, now))
    return Rerun(then["epoch"], recorded, again, found["device"])


def recorded_threads(record: dict[str, Any], device: str) -> int | None:
    """Return how many threads a run had, for the same number again; ``None`` where a GPU is."""
    found = re.search(r"^cpu, (\d+) threads", record["device"])
    return int(found[1]) if found and find_device(device).type == "cpu" else None
