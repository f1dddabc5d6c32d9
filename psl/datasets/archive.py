"""What a dataset's zip archive holds: two tables of ids, and the names behind the ids.

Nothing is unpacked to disk.  Whatever is wrong with an archive is a DataError that names the file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psl.errors import DataError

__all__ = ["read_names", "read_pairs"]

LARGEST_MEMBER_BYTES = 512 * 2**20
# Tables are as long as the largest id: a raw identifier would ask for all memory.
LARGEST_ID = 2**28


def read_pairs(path: Path, remedy: str) -> tuple[np.ndarray, np.ndarray]:
    """Read ``train.tsv`` and ``test.tsv``.

    Parameters
    ----------
    path : Path
    remedy : str
        What to do about a file that is missing or damaged, for the error.

    Returns
    -------
    train, test : ndarray of int64, shape (pairs, 2)
        Columns user and item.

    Raises
    ------
    DataError
        If the archive, or a table in it, is not what it should be.
    """
    members = ("train.tsv", "test.tsv")
    contents = _unzip(path, members, remedy)
    train, test = (_pairs(contents[m], f"{path}: {m}") for m in members)
    return train, test


def read_names(path: Path, sizes: dict[str, int], remedy: str) -> dict[str, list[str]]:
    """Read what users and items are called, from ``user_list.tsv`` and ``item_list.tsv``.

    Parameters
    ----------
    path : Path
    sizes : dict
        ``"user"`` and ``"item"``: how many ids there are.
    remedy : str
        As in :func:`read_pairs`.

    Returns
    -------
    dict
        ``"user"`` and ``"item"``: the names in the order of the ids; a list that the archive lacks
        is left out.

    Raises
    ------
    DataError
        If a list is no table, or does not name each id once.
    """
    members = {side: f"{side}_list.tsv" for side in sizes}
    contents = _unzip(path, members.values(), remedy, optional=True)
    return {
        side: _names(contents[member], side, sizes[side], f"{path}: {member}")
        for side, member in members.items()
        if member in contents
    }


def _unzip(
    path: Path, members: Iterable[str], remedy: str, *, optional: bool = False
) -> dict[str, bytes]:
    """Return the content of members by name, without those that may be absent and are."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; {remedy}")
    try:
        with zipfile.ZipFile(path) as archive:
            found = {m: _places(archive, m) for m in members}
            return {
                m: _content(archive, m, places, path)
                for m, places in found.items()
                if places or not optional
            }
    except DataError:
        raise
    except Exception as error:  # zipfile lets its decoders' errors through: they share no base
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable zip archive ({reason}); {remedy}") from error


def _places(archive: zipfile.ZipFile, member: str) -> list[zipfile.ZipInfo]:
    # A member is found by its base name; a name that climbs out of the archive is simply not used.
    return [i for i in archive.infolist() if i.filename.rsplit("/", 1)[-1] == member]


def _content(
    archive: zipfile.ZipFile, member: str, places: list[zipfile.ZipInfo], path: Path
) -> bytes:
    if len(places) != 1:
        raise DataError(f"{path}: expected one {member}, found {len(places)}")
    size = places[0].file_size
    if size > LARGEST_MEMBER_BYTES:
        raise DataError(f"{path}: {member} unpacks to {size} bytes, over the bound")
    return archive.read(places[0])


def _table(content: bytes, where: str, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(io.BytesIO(content), sep="\t", **options)
    except ValueError as error:  # pandas' own, and text that is not UTF-8
        raise DataError(f"{where} is not a table: {' '.join(str(error).split())}") from error


def _columns(table: pd.DataFrame, wanted: list[str], where: str) -> pd.DataFrame:
    missing = [c for c in wanted if c not in table.columns]
    if missing:
        raise DataError(f"{where} lacks the column {missing[0]!r}")
    if table.empty:
        raise DataError(f"{where} is empty")
    return table[wanted]


def _pairs(content: bytes, where: str) -> np.ndarray:
    table = _columns(_table(content, where), ["user_procid", "item_procid"], where)
    if not all(pd.api.types.is_integer_dtype(kind) for kind in table.dtypes):
        raise DataError(f"{where} holds an id that is not an integer")
    values = table.to_numpy(dtype=np.int64)
    if values.min() < 0:
        raise DataError(f"{where} holds the negative id {values.min()}")
    if values.max() > LARGEST_ID:
        raise DataError(f"{where} holds the id {values.max()}: ids count up from 0")
    return values


def _names(content: bytes, side: str, size: int, where: str) -> list[str]:
    # Text, so that a user may be called NA or 007.
    table = _table(content, where, dtype=str, keep_default_na=False)
    # The public archives say user_orgid, those of `psl data split` orgid.
    table = table.rename(columns=lambda name: str(name).removeprefix(f"{side}_"))
    table = _columns(table, ["orgid", "procid"], where)
    of = dict(zip(table["procid"], table["orgid"], strict=True))
    names = [of.get(str(number)) for number in range(size)]
    if len(of) != len(table) or None in names:
        raise DataError(f"{where} does not name each of the {size} ids once")
    return [str(name) for name in names]
