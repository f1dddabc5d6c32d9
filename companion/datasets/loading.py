"""From a name or an archive to users, items and pairs.  The default is generated, not fetched."""

from __future__ import annotations

import os
from pathlib import Path

from companion.datasets.archive_reading import read_names, read_pairs
from companion.datasets.fetching import GENERATED, fetch
from companion.datasets.generated import synthetic_dataset
from companion.datasets.registry import DATASETS, get_source
from psl.dataset import SETTINGS, Dataset, stored_setting
from psl.errors import DataError
from psl.interactions import Interactions

__all__ = ["id_lists", "load", "read_archive"]


def load(
    name: str | os.PathLike[str] = "synthetic", setting: str = "iid", *, progress: bool = False
) -> Dataset:
    """Return a dataset by name, or from an archive of one's own (a path that ends in ``.zip``).

    ``"synthetic"`` needs no network and no file.  An archive is what ``psl data split`` writes; the
    dataset has the name of its file, for where that lies does not make other data.

    Raises
    ------
    UnknownNameError, DataError
        See :func:`companion.datasets.fetch`; also for an archive that does not hold what it should.
    """
    name, setting = os.fspath(name), stored_setting(setting)
    if _is_own(name):
        if setting not in SETTINGS:
            raise DataError(f"setting must be one of {SETTINGS}, got {setting!r}")
        return read_archive(Path(name), Path(name).name, setting)
    if name == "synthetic":
        if setting != "iid":
            raise DataError(GENERATED)
        return synthetic_dataset()
    source = get_source(name, setting)
    dataset = read_archive(fetch(name, setting, progress=progress), name, setting)
    found = (
        dataset.train.num_users,
        dataset.train.num_items,
        len(dataset.train) + len(dataset.test),
    )
    expected = (source.users, source.items, source.interactions)
    if found != expected:
        raise DataError(f"{name} ({setting}): users, items, interactions {found} != {expected}")
    return dataset


def id_lists(name: str | os.PathLike[str], data: Dataset) -> dict[str, list[str]]:
    """Return what the users and items of an archive of one's own are called, by number.

    Parameters
    ----------
    name : str or path
        As :func:`load` took it.
    data : Dataset
        What it returned.

    Returns
    -------
    dict
        ``"user"`` and ``"item"``, as far as the archive lists them; empty for a registered dataset.

    Raises
    ------
    DataError
        If a list does not fit the data.
    """
    if not _is_own(os.fspath(name)):
        return {}
    sizes = {"user": data.train.num_users, "item": data.train.num_items}
    return read_names(Path(name), sizes, _remedy(data.name, data.setting))


def read_archive(path: Path, name: str, setting: str = "iid") -> Dataset:
    """Read ``train.tsv`` and ``test.tsv`` out of a zip archive; nothing is unpacked to disk.

    Raises
    ------
    DataError
        If it is missing, damaged or no such archive, or a pair is in two of its parts.
    """
    tables = read_pairs(path, _remedy(name, setting))
    sizes = [1 + max(int(t[:, c].max()) for t in tables.values()) for c in (0, 1)]
    parts = {part: Interactions.from_pairs(t[:, 0], t[:, 1], *sizes) for part, t in tables.items()}
    known = parts["train"]
    for part in sorted(parts.keys() - {"train"}):
        both = known.union(parts[part])
        shared = len(known) + len(parts[part]) - len(both)
        if shared:  # what was trained on is never recommended: such a pair could not be found
            first = "training" if part == "middle" or "middle" not in parts else "known"
            raise DataError(
                f"{path}: {shared:,} of the {len(parts[part]):,} {part} pairs are {first} pairs "
                f"too; take them out of {part}.tsv"
            )
        known = both
    notes = [
        f"{part}.tsv: {len(t):,} rows, {len(parts[part]):,} pairs; what is repeated counts once"
        for part, t in tables.items()
        if len(t) != len(parts[part])
    ]
    for side, seen in (("user", known.degrees), ("item", known.popularity)):
        if not seen.all():
            notes.append(f"{(seen == 0).sum():,} of {len(seen):,} {side} ids stand in no row")
    return Dataset(name, setting, **parts, notes=tuple(notes))


def _is_own(name: str) -> bool:
    return name.lower().endswith(".zip")


def _remedy(name: str, setting: str) -> str:
    """Say what to do about an archive that is missing or damaged."""
    if (name, stored_setting(setting)) in DATASETS:
        return "delete it, and fetch it again"
    return "`psl data split` writes one from a table of yours"
