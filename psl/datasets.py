"""Named datasets: fetch, verify, read, fingerprint.  The default is generated, not fetched.

The public dataset repository of the paper's authors is pinned to one commit.  Setting the
environment variable ``PSL_DATA_MIRROR`` to a folder or URL with the same layout replaces it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import warnings
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psl.errors import DataError, UnknownNameError
from psl.interactions import Interactions, holdout, synthetic
from psl.streams import numpy_stream

__all__ = ["DATASETS", "Dataset", "Source", "cache_folder", "fetch", "get_source", "load"]

REPOSITORY = (
    "https://raw.githubusercontent.com/Tiny-Snow/IR-Benchmark-Dataset/"
    "18bbbe892301c6013579ae70f3cab9d666878e23"
)
LARGEST_MEMBER_BYTES = 512 * 2**20
# Tables are as long as the largest id: a raw identifier would ask for all memory.
LARGEST_ID = 2**28


@dataclass(frozen=True)
class Source:
    """Where a dataset lies and what it must contain.

    ``users``, ``items`` and ``interactions`` are the expected counts (Table B.1 for the paper's
    datasets, measured for the others); ``sha256`` and ``size_bytes`` describe the archive,
    ``fingerprint`` its content; they are ``None`` where the archive is not in the public repository
    at the pinned commit.
    """

    name: str
    setting: str
    path: str
    users: int
    items: int
    interactions: int
    sha256: str | None
    size_bytes: int | None
    fingerprint: str | None
    licence: str

    @property
    def available(self) -> bool:
        """Whether the archive is in the public repository at the pinned commit."""
        return self.sha256 is not None


def _registry() -> dict[tuple[str, str], Source]:
    with (files("psl.paper") / "dataset_sources.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sources = (
        Source(
            row["name"],
            row["setting"],
            row["path"],
            int(row["users"]),
            int(row["items"]),
            int(row["interactions"]),
            row["sha256"] or None,
            int(row["size_bytes"]) if row["size_bytes"] else None,
            row["fingerprint"] or None,
            row["licence"],
        )
        for row in rows
    )
    return {(source.name, source.setting): source for source in sources}


DATASETS = _registry()


@dataclass(frozen=True, eq=False)
class Dataset:
    """A loaded dataset.

    ``liked`` is known for the synthetic dataset only: the user's true preferences, seen or not.
    """

    name: str
    setting: str
    train: Interactions
    test: Interactions
    liked: Interactions | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over both splits, the same wherever the data came from."""
        both = self.train.fingerprint() + self.test.fingerprint()
        return hashlib.sha256(both.encode()).hexdigest()


def get_source(name: str, setting: str = "iid") -> Source:
    """Look a dataset up; raises UnknownNameError or DataError for a setting it has not.

    The setting noise has the data of iid: its noise is in the negatives.
    """
    setting = _stored(setting)
    known = sorted({n for n, _ in DATASETS} | {"synthetic"})
    if name not in known:
        raise UnknownNameError("dataset", name, known)
    if (name, setting) not in DATASETS:
        has = ", ".join(sorted(s for n, s in DATASETS if n == name)) or "iid (generated)"
        raise DataError(f"dataset {name!r} has no setting {setting!r}; it has: {has}")
    return DATASETS[name, setting]


def _stored(setting: str) -> str:
    return "iid" if setting == "noise" else setting


def cache_folder() -> Path:
    """Return the folder of fetched archives: ``$PSL_CACHE``, else the user's cache."""
    return Path(os.environ.get("PSL_CACHE") or _pooch().os_cache("psl"))


def fetch(name: str, setting: str = "iid", *, progress: bool = False) -> Path:
    """Return the path of the verified archive, downloading it into the cache if need be.

    Raises
    ------
    DataError
        If it is not public, cannot be reached, or its digest is not the registered one.
    """
    source = get_source(name, setting)
    mirror = os.environ.get("PSL_DATA_MIRROR", "").strip()
    local = not mirror.startswith(("http://", "https://")) and mirror
    if local:
        path = Path(local).expanduser() / source.path
        if not path.is_file():
            raise DataError(f"{name} ({setting}): no file {source.path} in PSL_DATA_MIRROR {local}")
        _verify(path, source)
        return path
    if not source.available and not mirror:
        raise DataError(
            f"{name} ({setting}) is not in the public dataset repository; put its archive at "
            f"{source.path} under a folder and set PSL_DATA_MIRROR to that folder"
        )
    url = f"{(mirror or REPOSITORY).rstrip('/')}/{source.path}"
    known = f"sha256:{source.sha256}" if source.sha256 else None
    try:
        saved = _pooch().retrieve(
            url,
            known_hash=known,
            fname=f"{name}-{_stored(setting)}.zip",
            path=cache_folder(),
            progressbar=progress,
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; bad hash: ValueError
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{name} ({setting}) could not be fetched: {reason}") from error
    return Path(saved)


def load(name: str = "synthetic", setting: str = "iid", *, progress: bool = False) -> Dataset:
    """Return a dataset by name, or from an archive of one's own (a path that ends in ``.zip``).

    ``"synthetic"`` needs no network and no file.  An archive is what ``psl data split`` writes.

    Raises
    ------
    UnknownNameError, DataError
        See :func:`fetch`; also for an archive that does not hold what it should.
    """
    setting = _stored(setting)
    if name.endswith(".zip"):
        return read_archive(Path(name), name, setting)
    if name == "synthetic":
        if setting != "iid":
            raise DataError("the synthetic dataset has the settings 'iid' and 'noise' only")
        seen, liked = synthetic(numpy_stream(0, "synthetic"))
        train, test = holdout(seen, 0.2, numpy_stream(0, "synthetic", "test"))
        return Dataset(name, setting, train, test, liked)
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


def read_archive(path: Path, name: str, setting: str = "iid") -> Dataset:
    """Read ``train.tsv`` and ``test.tsv`` out of a zip archive; nothing is unpacked to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            tables = [_read_table(archive, f"{part}.tsv", path) for part in ("train", "test")]
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise DataError(f"{path}: not a readable zip archive ({error}); fetch it again") from error
    num_users, num_items = (1 + max(int(t[:, c].max()) for t in tables) for c in (0, 1))
    train, test = (Interactions.from_pairs(t[:, 0], t[:, 1], num_users, num_items) for t in tables)
    return Dataset(name, setting, train, test)


def _read_table(archive: zipfile.ZipFile, member: str, path: Path) -> np.ndarray:
    # A member is found by its base name; a name that climbs out of the archive is simply not used.
    found = [i for i in archive.infolist() if i.filename.rsplit("/", 1)[-1] == member]
    if len(found) != 1:
        raise DataError(f"{path}: expected one {member}, found {len(found)}")
    if found[0].file_size > LARGEST_MEMBER_BYTES:
        raise DataError(f"{path}: {member} unpacks to {found[0].file_size} bytes, over the bound")
    columns = ["user_procid", "item_procid"]
    try:
        text = io.BytesIO(archive.read(found[0]))
        table = pd.read_csv(text, sep="\t")
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path}: {member} is not a table: {error}") from error
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise DataError(f"{path}: {member} lacks the column {missing[0]!r}")
    if table.empty:
        raise DataError(f"{path}: {member} is empty")
    if not all(pd.api.types.is_integer_dtype(kind) for kind in table[columns].dtypes):
        raise DataError(f"{path}: {member} holds an id that is not an integer")
    values = table[columns].to_numpy(dtype=np.int64)
    if values.min() < 0:
        raise DataError(f"{path}: {member} holds the negative id {values.min()}")
    if values.max() > LARGEST_ID:
        raise DataError(f"{path}: {member} holds the id {values.max()}: ids count up from 0")
    return values


def _pooch() -> Any:
    """Import the downloader where it is needed: a notebook without widgets gets no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        import pooch
    # It logs each address at level INFO; the progress bar and the error say enough.
    pooch.get_logger().setLevel("WARNING")
    return pooch


def _verify(path: Path, source: Source) -> None:
    if source.sha256 is None:
        return
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != source.sha256:
        raise DataError(
            f"{path}: SHA-256 is {found[:12]}..., expected {source.sha256[:12]}...; the file is "
            "truncated or another version"
        )
