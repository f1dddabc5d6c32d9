"""The embeddings of a trained model in one file, to rank with elsewhere.

The file is safetensors, which many languages read without this module: ``user_embeddings`` (U, d)
and ``item_embeddings`` (I, d), whose inner product is the score; ``user_ids`` and ``item_ids``,
where the names are known, the bytes of a JSON list of them in the order of the rows (UTF-8); and as
metadata what run they are of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from psl.errors import DataError
from psl.files import replace_file

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
        What users and items are called, as :func:`psl.datasets.id_lists` returns it.
    trained_on : {"train", "all"}
        ``"all"`` for a model that was fitted again.
    """
    with torch.no_grad():
        users, items = model.scale(*model.tables())
    tensors = {"user_embeddings": users, "item_embeddings": items}
    for side, ids in (names or {}).items():
        # A tensor of bytes: the metadata of a file may not hold millions of names.
        text = bytearray(json.dumps(ids, ensure_ascii=False).encode())
        tensors[f"{side}_ids"] = torch.frombuffer(text, dtype=torch.uint8)
    about = {
        "run_id": record["run_id"],
        "dataset_fingerprint": record["dataset_fingerprint"],
        "best_epoch": str(record["best_epoch"]),
        "config": json.dumps(record["config"], sort_keys=True),
        "trained_on": trained_on,
    }
    content = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    replace_file(path, to_bytes(content, metadata=about))


def load(path: Path | str) -> Embeddings:
    """Read what :func:`save` wrote.

    Raises
    ------
    DataError
        If there is no such file, or it is another one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        users, items = tensors["user_embeddings"], tensors["item_embeddings"]
        user_ids, item_ids = (_ids(tensors.get(f"{side}_ids")) for side in ("user", "item"))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a file of `psl train --save` ({error})") from error
    return Embeddings(users, items, user_ids, item_ids, about)


def _ids(text: Tensor | None) -> list[str] | None:
    return None if text is None else list(json.loads(bytes(text.numpy())))
