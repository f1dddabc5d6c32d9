"""What a dataset's zip archive holds: two tables of ids, and the names behind the ids.

Nothing is unpacked to disk.  Whatever is wrong with an archive is a DataError that names the file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd

from companion.datasets.delimited import read_delimited
from psl.errors import DataError

__all__ = ["read_names", "read_pairs"]

LARGEST_MEMBER_BYTES = 512 * 2**20
# Tables of distinct pairs are packed to a fifth or so; what is packed closer only fills memory.
LARGEST_RATIO, SMALL_MEMBER_BYTES = 100, 16 * 2**20
PIECE_BYTES = 4096
# Embeddings are as many as the largest id says: a raw identifier would ask for all memory.
IDS_PER_ROW, FEW_IDS = 10, 1000


def read_pairs(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """Read ``train.tsv`` and ``test.tsv``, and ``middle.tsv`` if it is there.

    Parameters
    ----------
    path : Path
    remedy : str
        What to do about a file that is missing or damaged, for the error.

    Returns
    -------
    dict
        ``"train"``, ``"test"`` and perhaps ``"middle"``: ndarray of int64, shape (rows, 2), of the
        columns user and item.

    Raises
    ------
    DataError
        If the archive, or a table in it, is not what it should be, or ids are so large that most
        of them would be in no row.
    """
    contents = _unzip(path, ("train.tsv", "test.tsv"), remedy)
    contents |= _unzip(path, ("middle.tsv",), remedy, optional=True)
    tables = {m.removesuffix(".tsv"): _pairs(text, f"{path}: {m}") for m, text in contents.items()}
    rows = sum(map(len, tables.values()))
    for column, side in enumerate(("user", "item")):
        name, most = max(
            ((n, int(t[:, column].max())) for n, t in tables.items()), key=itemgetter(1)
        )
        if most >= max(IDS_PER_ROW * rows, FEW_IDS):
            raise DataError(
                f"{path}: {name}.tsv holds the {side} id {most} though there are {rows:,} rows in "
                f"all: ids count up from 0, at most {IDS_PER_ROW} of them a row; `psl data split` "
                "numbers them so"
            )
    return tables


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
    size, packed = places[0].file_size, places[0].compress_size
    if size > min(LARGEST_MEMBER_BYTES, max(LARGEST_RATIO * packed, SMALL_MEMBER_BYTES)):
        raise DataError(f"{path}: {member} unpacks from {packed} to {size} bytes, over the bound")
    with archive.open(places[0]) as file:
        # Never more than is stated; and in pieces, for a decoder unpacks all it is given at once.
        return b"".join(iter(lambda: file.read(PIECE_BYTES), b""))


def _columns(table: pd.DataFrame, wanted: list[str], where: str) -> pd.DataFrame:
    missing = [c for c in wanted if c not in table.columns]
    if missing:
        raise DataError(f"{where} lacks the column {missing[0]!r}")
    if table.empty:
        raise DataError(f"{where} is empty")
    if table[wanted].shape[1] != len(wanted):
        raise DataError(f"{where} has two columns of one name")
    return table[wanted]


def _pairs(content: bytes, where: str) -> np.ndarray:
    wanted = ["user_procid", "item_procid"]
    table = _columns(read_delimited(io.BytesIO(content), where, wanted, "\t"), wanted, where)
    if not all(pd.api.types.is_integer_dtype(kind) for kind in table.dtypes):
        raise DataError(f"{where} holds an id that is not an integer")
    least = min(int(table[column].min()) for column in wanted)
    if least < 0:
        raise DataError(f"{where} holds the negative id {least}")
    if any(int(table[column].max()) >= 2**63 for column in wanted):
        raise DataError(f"{where} holds an id above 2^63: ids count up from 0")
    return table.to_numpy(dtype=np.int64)


def _names(content: bytes, side: str, size: int, where: str) -> list[str]:
    # Text, so that a user may be called NA or 007.
    wanted, source = ["orgid", "procid"], io.BytesIO(content)
    table = read_delimited(source, where, wanted, "\t", dtype=str, keep_default_na=False)
    # The public archives say user_orgid, those of `psl data split` orgid.
    table = table.rename(columns=lambda name: str(name).removeprefix(f"{side}_"))
    table = _columns(table, wanted, where)
    of = dict(zip(table["procid"], table["orgid"], strict=True))
    names = [of.get(str(number)) for number in range(size)]
    if len(of) != len(table) or None in names or table.isna().any(axis=None):
        raise DataError(f"{where} does not name each of the {size} ids once")
    return [str(name) for name in names]
