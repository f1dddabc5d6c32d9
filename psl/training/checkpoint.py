"""The state of a stopped run in a file, and back."""

import json
import time
from dataclasses import asdict, dataclass, field
from operator import index
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from psl.dataset import Dataset
from psl.errors import TrainingError
from psl.training.config import RunConfig
from psl.training.device import describe
from psl.training.provenance import CODE_DIGEST
from psl.training.state import TrainState
from psl.training.tensor_file import read, write

__all__ = ["CheckpointWriter", "History", "restore"]

SHARE = 0.05  # of the time that writing states may take, once one takes longer than
SHORT = 0.05  # seconds


@dataclass
class History:
    """What a record says of a run so far.

    Attributes
    ----------
    seconds : float
        Spent.
    curve : list of dict
        A point for each validation.
    continued : dict
        ``continued_from``, the digest of another code that trained it, and
        ``continued_from_device``, another device or number of threads; empty if there is none.
    """

    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    continued: dict[str, str] = field(default_factory=dict)


class CheckpointWriter:
    """Writes the state after an epoch, unless writing would take more than a twentieth of the time.

    A large model on a GPU has an epoch sooner than its state is on disk.  What takes less than a
    twentieth of a second is always written, and so is the last state.

    Parameters
    ----------
    path : Path, optional
        Without one nothing is written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.took, self.written = path, 0.0, time.monotonic()

    def __call__(self, *what: Any, last: bool) -> None:
        """Write the state, arguments as of :func:`save`, if it is time."""
        begin = time.monotonic()
        early = begin - self.written < self.took / SHARE and self.took > SHORT
        if self.path is None or (early and not last):
            return
        save(self.path, *what)
        self.written = time.monotonic()
        self.took = self.written - begin


def save(path: Path, state: TrainState, config: RunConfig, data: Dataset, history: History) -> None:
    """Write the state after a whole epoch, atomically."""
    tensors = {f"model/{k}": v for k, v in state.model.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in state.best.items()}
    tensors |= {f"loss/{k}": v for k, v in state.loss.state_dict().items()}
    for which, optimizer in enumerate(state.optimizers()):
        for number, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"adam/{which}/{number}/{k}": v for k, v in slots.items()}
    about = {
        "config": config.as_dict(),
        "fingerprint": data.fingerprint,
        "epoch": state.epoch,
        "best_score": state.best_score,
        "best_epoch": state.best_epoch,
        "code": CODE_DIGEST,
        "device": describe(state.device),
        **asdict(history),
    }
    write(path, tensors, {"run": json.dumps(about)})


def restore(path: Path, state: TrainState, config: RunConfig, data: Dataset) -> History:
    """Put a saved state into a fresh one, and return the history that goes with it.

    Raises TrainingError if the file is damaged, or is of another configuration, dataset or version.
    """
    try:
        tensors, metadata = read(path)
        about = json.loads(metadata["run"])
        if about["config"] != config.as_dict() or about["fingerprint"] != data.fingerprint:
            raise TrainingError(f"{path}: the checkpoint is of another configuration or dataset")
        _fill(state, tensors)
        state.epoch, state.best_epoch = index(about["epoch"]), index(about["best_epoch"])
        state.best_score = float(about["best_score"])
        here = {"continued_from": CODE_DIGEST, "continued_from_device": describe(state.device)}
        there = {"continued_from": about["code"], "continued_from_device": about["device"]}
        # What an earlier stop changed stays told.
        continued = about["continued"] | {k: there[k] for k in here if there[k] != here[k]}
        return History(float(about["seconds"]), list(about["curve"]), continued)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"{path}: not a readable checkpoint; delete it ({reason})") from error


def _fill(state: TrainState, tensors: dict[str, Tensor]) -> None:
    """Put tensors where :func:`save` took them from; torch itself refuses other names, shapes."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    own = {"model/": state.model, "best/": state.model, "loss/": state.loss}
    for prefix, module in own.items():
        kinds = {k: v.dtype for k, v in module.state_dict().items()}
        if any(v.dtype != kinds.get(k, v.dtype) for k, v in part(prefix).items()):
            raise ValueError(f"numbers of another type in {prefix}")
    state.best = {k: v.to(state.device) for k, v in part("best/").items()}
    if state.best:  # not before the first validation
        state.load_best()
    state.model.load_state_dict(part("model/"))
    state.loss.load_state_dict(part("loss/"))
    for which, optimizer in enumerate(state.optimizers()):
        saved = optimizer.state_dict()
        tables = [table for group in optimizer.param_groups for table in group["params"]]
        slots = {n: part(f"adam/{which}/{n}/") for n in range(len(tables))}
        for number, table in enumerate(tables):  # torch looks at no moment
            shapes = {"step": torch.Size(), "exp_avg": table.shape, "exp_avg_sq": table.shape}
            found = {k: v.shape for k, v in slots[number].items() if v.dtype == table.dtype}
            if slots[number] and found != shapes:
                raise ValueError(f"the moments of table {number} are no moments of Adam's")
        saved["state"] = {n: s for n, s in slots.items() if s}  # none before its first turn
        optimizer.load_state_dict(saved)
