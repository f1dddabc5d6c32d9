"""The lists of all users in one file, written block by block."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from companion.locks import writing
from companion.serving.exported import Exported
from companion.serving.lists import ranked
from psl.errors import DataError
from psl.interactions import Interactions

__all__ = ["LIST_COLUMNS", "check_output", "write_lists"]

LIST_COLUMNS = ("user", "rank", "item", "score")
Columns = tuple[Sequence[str], Sequence[int], Sequence[str], Sequence[float]]


def check_output(path: Path) -> None:
    """Refuse a file of another kind than .csv and .parquet, and the latter without pyarrow.

    Raises
    ------
    DataError
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise DataError(f"lists are written as .csv or .parquet, got {path}")
    if kind == ".parquet":
        _pyarrow()


def write_lists(
    path: Path,
    model: Exported,
    seen: Interactions | None,
    depth: int,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the list of every user; return the number of places.

    Columns ``user``, ``rank`` from 1, ``item`` and ``score``, in the order of the file's users; a
    list ends early where a user has nearly all items.  Memory is that of a block of users; nothing
    is at ``path`` before it is whole.

    Parameters
    ----------
    path : Path
        A .csv (UTF-8) or a .parquet.
    model : Exported
    seen : Interactions or None
        What is left out.
    depth : int
        Places of a list.
    progress : callable
        Told how many users were added.

    Raises
    ------
    DataError
        As :func:`check_output`.
    """
    check_output(path)
    kept, names = model.kept, {side: model.names(side) for side in ("user", "item")}
    everyone = torch.arange(len(kept.users), device=kept.users.device)
    count = 0
    with writing(path) as temporary, _writer(temporary, path.suffix.lower()) as put:
        for block in ranked(kept.users, kept.items, everyone, seen, depth):
            there = (~block.best.isneginf()).cpu()
            row, place = there.nonzero(as_tuple=True)
            users, items = block.users.cpu()[row], block.items.cpu()[there]
            put(
                (
                    [names["user"][u] for u in users.tolist()],
                    (place + 1).tolist(),
                    [names["item"][i] for i in items.tolist()],
                    block.best.cpu()[there].tolist(),
                )
            )
            count += len(row)
            progress(len(block.users))
    return count


@contextmanager
def _writer(path: Path, kind: str) -> Iterator[Callable[[Columns], Any]]:
    if kind == ".csv":
        with open(path, "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(LIST_COLUMNS)
            yield lambda columns: rows.writerows(zip(*columns, strict=True))
        return
    arrow, parquet = _pyarrow()
    kinds = (arrow.string(), arrow.int32(), arrow.string(), arrow.float32())
    schema = arrow.schema(list(zip(LIST_COLUMNS, kinds, strict=True)))
    with parquet.ParquetWriter(path, schema) as file:
        yield lambda columns: file.write_table(
            arrow.table(dict(zip(LIST_COLUMNS, columns, strict=True)), schema=schema)
        )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError("writing Parquet needs pyarrow (pip install pyarrow)") from error
    return pyarrow, parquet
