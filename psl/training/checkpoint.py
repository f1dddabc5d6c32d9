"""The state of a stopped run in a file, and back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from psl.datasets import Dataset
from psl.errors import TrainingError
from psl.files import replace_file
from psl.training.config import RunConfig
from psl.training.device import describe
from psl.training.provenance import code_digest
from psl.training.step import TrainState

__all__ = ["CheckpointWriter", "restore"]

SHARE = 0.05  # of the time that writing states may take, once one takes longer than
SHORT = 0.05  # seconds

# What every checkpoint says of its run; later versions say more.
NEEDED = ("config", "fingerprint", "epoch", "best_score", "best_epoch", "seconds", "curve")


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


def save(
    path: Path,
    state: TrainState,
    config: RunConfig,
    data: Dataset,
    seconds: float,
    curve: list[dict[str, float]],
    continued: dict[str, str],
) -> None:
    """Write the state after a whole epoch, atomically; ``continued`` as :func:`restore` gave it."""
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
        "seconds": seconds,
        "curve": curve,
        "code": code_digest(),
        "device": describe(state.place),
        "continued": continued,
    }
    content = {k: v.cpu().contiguous() for k, v in tensors.items()}
    replace_file(path, to_bytes(content, metadata={"run": json.dumps(about)}))


def restore(
    path: Path, state: TrainState, config: RunConfig, data: Dataset
) -> tuple[float, list[dict[str, float]], dict[str, str]]:
    """Put a saved state into a fresh one.

    Returns
    -------
    seconds : float
        Spent so far.
    curve : list of dict
        As far as it goes.
    continued : dict
        What the record must say of the run so far: ``continued_from``, the digest of another code
        that trained it, and ``continued_from_device``, another device or number of threads.

    Raises
    ------
    TrainingError
        If the file cannot be read, or is of another configuration or dataset.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["run"])
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        lacking = [key for key in NEEDED if key not in about]
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise TrainingError(f"{path}: not a readable checkpoint; delete it ({error})") from error
    if lacking:
        raise TrainingError(f"{path}: not a readable checkpoint; delete it (no {lacking[0]!r})")
    if about["config"] != config.as_dict() or about["fingerprint"] != data.fingerprint:
        raise TrainingError(f"{path}: the checkpoint is of another configuration or dataset")

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    state.model.load_state_dict(part("model/"))
    state.best = {k: v.to(state.place) for k, v in part("best/").items()}
    state.loss.load_state_dict(part("loss/"))
    for which, optimizer in enumerate(state.optimizers()):
        saved = optimizer.state_dict()
        numbers = [n for group in saved["param_groups"] for n in group["params"]]
        slots = {n: part(f"adam/{which}/{n}/") for n in numbers}
        saved["state"] = {n: s for n, s in slots.items() if s}  # none before its first turn
        optimizer.load_state_dict(saved)
    state.epoch, state.best_epoch = about["epoch"], about["best_epoch"]
    state.best_score = about["best_score"]
    here = {"continued_from": code_digest(), "continued_from_device": describe(state.place)}
    there = here | {"continued_from": about.get("code", "unknown")}
    if "device" in about:  # the first versions did not say
        there["continued_from_device"] = about["device"]
    # What an earlier stop changed stays told.
    continued = about.get("continued", {}) | {k: there[k] for k in here if there[k] != here[k]}
    return about["seconds"], about["curve"], continued
