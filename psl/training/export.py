"""The embeddings of a trained model in one file, to rank with elsewhere.

The file is safetensors, which many languages read without this module: ``user_embeddings`` (U, d)
and ``item_embeddings`` (I, d), whose inner product is the score; ``user_ids`` and ``item_ids``,
where the names are known, the bytes of a JSON list of them in the order of the rows (UTF-8); and as
metadata what run they are of, and a checksum over all of it.  The same content, the same bytes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from psl.errors import DataError
from psl.training.tensor_file import read, write

__all__ = ["Embeddings", "load", "save"]


@dataclass(frozen=True)
class Embeddings:
    """Users and items, ready to be multiplied: ``users[u] @ items.T`` are the scores of user u.

    What a user has already is to be left out by the caller.

    Attributes
    ----------
    users : Tensor of float32, shape (U, d)
    items : Tensor of float32, shape (I, d)
    user_ids : list of str or None
        Names in the order of the rows, where they are known.
    item_ids : list of str or None
    about : dict of str
        ``run_id``, ``dataset_fingerprint``, ``best_epoch`` and ``config`` (JSON) of the run;
        ``trained_on``: ``train``, without what was set aside for validation, or ``all`` pairs.
    """

    users: Tensor
    items: Tensor
    user_ids: list[str] | None
    item_ids: list[str] | None
    about: dict[str, str]


def save(
    path: Path | str,
    model: Any,
    record: dict[str, Any],
    names: dict[str, list[str]] | None = None,
    *,
    trained_on: str = "train",
) -> None:
    """Write the embeddings of a trained model, atomically.

    Parameters
    ----------
    path : Path
    model : module
        A backbone with the parameters of the best epoch, as :func:`psl.training.train` returns it,
        or the one of :func:`psl.training.refit`.
    record : dict
        The run's record.
    names : dict, optional
        What users and items are called, as :func:`companion.datasets.id_lists` returns it.
    trained_on : {"train", "all"}
        ``"all"`` for a model that was fitted again.

    Raises
    ------
    DataError
        If an embedding is not finite, or the names do not fit the rows, or one not into UTF-8.
    """
    with torch.no_grad():
        users, items = model.scale(*model.tables())
    tensors = {"user_embeddings": users, "item_embeddings": items}
    try:
        for side, ids in (names or {}).items():
            # A tensor of bytes: the metadata of a file may not hold millions of names.
            text = bytearray(json.dumps(ids, ensure_ascii=False).encode())
            tensors[f"{side}_ids"] = torch.frombuffer(text, dtype=torch.uint8)
        _embeddings(tensors, {})
    except ValueError as error:
        raise DataError(f"{path}: not written ({error})") from error
    about = {
        "run_id": record["run_id"],
        "dataset_fingerprint": record["dataset_fingerprint"],
        "best_epoch": str(record["best_epoch"]),
        "config": json.dumps(record["config"], sort_keys=True),
        "trained_on": trained_on,
    }
    write(path, tensors, about)


def load(path: Path | str) -> Embeddings:
    """Read what :func:`save` wrote.

    Raises
    ------
    DataError
        If there is no such file, it is another one, or not a bit of it is as it was written.
    """
    try:
        return _embeddings(*read(path))
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: not a file of `psl train --save` ({error})") from error


def _embeddings(tensors: dict[str, Tensor], about: dict[str, str]) -> Embeddings:
    """Return what can be ranked with; ValueError or KeyError for anything else."""
    tables = users, items = tensors["user_embeddings"], tensors["item_embeddings"]
    if not all(x.ndim == 2 and x.is_floating_point() for x in tables):
        raise ValueError("the embeddings are no two tables of floating-point numbers")
    if (users.shape[1], users.dtype) != (items.shape[1], items.dtype):
        raise ValueError("the embeddings of users and items are of different lengths or types")
    if not all(x.isfinite().all() for x in tables):
        raise ValueError("an embedding is not finite")
    ids = {side: _ids(tensors[k]) for side in ("user", "item") if (k := f"{side}_ids") in tensors}
    for side, table in zip(("user", "item"), tables, strict=True):
        if side in ids and len(ids[side]) != len(table):
            raise ValueError(f"{len(ids[side])} names for {len(table)} rows ({side})")
    return Embeddings(users, items, ids.get("user"), ids.get("item"), about)


def _ids(text: Tensor) -> list[str]:
    ids = json.loads(bytes(text.numpy())) if text.dtype == torch.uint8 else None
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise ValueError("the names are no list of text")
    return ids
