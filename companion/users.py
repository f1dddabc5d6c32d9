"""What each user got from a recorded run: its metrics before they are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from companion.locks import exclusive
from companion.released import PaperConfig
from companion.rerun import TOLERANCES, recorded_threads
from companion.serving import measure
from companion.statistics import bootstrap, paired_difference
from companion.threads import torch_threads
from psl.dataset import Dataset
from psl.errors import RecordError, TrainingError
from psl.models.matrix_factorization import MatrixFactorization
from psl.training import tensor_file
from psl.training.device import find_device
from psl.training.epoch import Progress
from psl.training.loop import selection, train
from psl.training.provenance import provenance

__all__ = ["FOLDER", "METRICS", "compare", "path_of", "read", "save", "users"]

FOLDER = "users"  # in the folder of the run records
METRICS = ("recall@20", "ndcg@20")


@dataclass(frozen=True)
class Users:
    """The metrics of every user of a run, on the test part.

    Attributes
    ----------
    run_id : str
    by_user : dict of str to ndarray of float32, shape (users,)
        :data:`METRICS`, in [0, 1], in the order of the dataset's users.
    device : str
        Where it was trained for this, in the words of a record.
    """

    run_id: str
    by_user: dict[str, np.ndarray]
    device: str


def users(
    record: dict[str, Any],
    data: Dataset,
    *,
    device: str = "auto",
    progress: Callable[[Progress], None] = lambda _: None,
) -> Users:
    """Train a recorded run again, whole, and take the metrics of its users.

    Their means have to be the record's: to 1e-6 where it was trained, and to 1e-3 on another device
    or kind of CPU, for training enlarges the last digits, in which they differ.

    Raises
    ------
    TrainingError
        If they are not, or the data is not that of the record; and as :func:`psl.training.train`.
    """
    if data.fingerprint != record["dataset_fingerprint"]:
        raise TrainingError(f"{data.name} is not the data that the run {record['run_id']} was of")
    config = PaperConfig(**record["config"])
    with torch_threads(recorded_threads(record, device)):
        again = train(config, data, device=device, progress=progress)
    gap = max(abs(again.record["metrics"][m] - record["metrics"][m]) for m in METRICS)
    if not gap <= TOLERANCES[again.record["device"] != record["device"]]:
        raise TrainingError(f"the run {record['run_id']} does not come out again: off by {gap:.1e}")
    fit, _ = selection(config.for_data(data), data)
    masked = fit if config.protocol == "released" else data.known
    with torch.no_grad():
        everybody = torch.arange(data.train.num_users, device=find_device(device))
        left, right = cast(MatrixFactorization, again.model).embed(everybody)
    found = measure(left, right, data.test, masked)
    by_user = {m: found.by_user[m].astype(np.float32) for m in METRICS}
    return Users(record["run_id"], by_user, again.record["device"])


def path_of(run_id: str, results: Path) -> Path:
    """Return where the users of a run lie."""
    return results / FOLDER / f"{run_id}.safetensors"


def save(found: Users, results: Path) -> Path:
    """Write the file of a run, whole or not at all, and return its path."""
    path, made = path_of(found.run_id, results), provenance()
    about = {"run_id": found.run_id, "device": found.device}
    about |= {k: made[k] for k in ("created", "code_digest")}
    with exclusive(path, remove=True):
        tensor_file.write(path, {k: torch.from_numpy(v) for k, v in found.by_user.items()}, about)
    return path


def read(record: dict[str, Any], results: Path) -> Users | None:
    """Return the users of a run, or ``None`` where it has no file.

    Raises
    ------
    RecordError
        If the file is not what :func:`save` writes, or its means are not those of the record.
    """
    path = path_of(record["run_id"], results)
    if not path.exists():
        return None
    try:
        tensors, about = tensor_file.read(path)
        by_user = {m: tensors[m].numpy() for m in METRICS}
        gaps = [abs(float(by_user[m].mean(dtype=float)) - record["metrics"][m]) for m in METRICS]
    except (KeyError, ValueError) as error:
        raise RecordError(f"{path}: no file of a run's users ({error})") from error
    if about.get("run_id") != record["run_id"] or not max(gaps) <= TOLERANCES[1]:
        raise RecordError(f"{path}: it is not of the run {record['run_id']} as it is recorded")
    return Users(record["run_id"], by_user, about["device"])


def compare(
    pairs: Iterable[tuple[int, Users, Users]], metric: str = "ndcg@20", draws: int = 10_000
) -> pd.DataFrame:
    """Compare two losses over users, one seed at a time, and over seeds.

    Parameters
    ----------
    pairs : iterable of (seed, Users, Users)
        One loss and the other, which it is compared with.
    metric : str
    draws : int
        Of the bootstrap over users.

    Returns
    -------
    DataFrame
        A row for each seed, one for the users' means over the seeds (seed ``"mean"``), and one over
        seeds (``"seeds"``).  ``gain`` is the difference of the means over the other's mean; ``low``
        and ``high`` end its 95 % interval, by the bootstrap over users, the last one by Student's
        t over seeds.  ``p`` is of the paired t-test over the same units.
    """
    pairs = list(pairs)
    names = [*(str(seed) for seed, _, _ in pairs), "mean"]
    ours = np.stack([one.by_user[metric] for _, one, _ in pairs])
    other = np.stack([two.by_user[metric] for _, _, two in pairs])
    rows = []
    for name, a, b in zip(names, _and_mean(ours), _and_mean(other), strict=True):
        gap = paired_difference(a.tolist(), b.tolist())
        low, high = bootstrap((a - b).tolist(), draws)
        rows.append((name, len(a), gap.relative, low / gap.other, high / gap.other, gap.p_value))
    gap = paired_difference(ours.mean(1).tolist(), other.mean(1).tolist())
    low, high = gap.low / gap.other, gap.high / gap.other
    rows.append(("seeds", len(pairs), gap.relative, low, high, gap.p_value))
    return pd.DataFrame(rows, columns=["seed", "units", "gain", "low", "high", "p"])


def _and_mean(values: np.ndarray) -> np.ndarray:
    """Return the rows, and their mean as one more."""
    return np.vstack([values, values.mean(0)]).astype(float)
