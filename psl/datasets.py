"""Named datasets: fetch, verify, read, fingerprint.  The default is generated, not fetched.

The public dataset repository of the paper's authors is pinned to one commit.  Setting the
environment variable ``PSL_DATA_MIRROR`` to a folder or URL with the same layout replaces it.
"""

from __future__ import annotations

import csv
import hashlib
import os
import warnings
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from psl.archives import read_names, read_pairs
from psl.errors import DataError, UnknownNameError
from psl.interactions import Interactions, holdout, synthetic
from psl.streams import numpy_stream

__all__ = [
    "DATASETS",
    "Dataset",
    "Source",
    "cache_folder",
    "fetch",
    "get_source",
    "id_lists",
    "load",
    "read_archive",
    "stored_setting",
    "unreachable",
]

REPOSITORY = (
    "https://raw.githubusercontent.com/Tiny-Snow/IR-Benchmark-Dataset/"
    "18bbbe892301c6013579ae70f3cab9d666878e23"
)
GENERATED = "the synthetic dataset has the settings 'iid' and 'noise' only"


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


def stored_setting(setting: str) -> str:
    """Return the setting whose data a run takes: noise has that of iid, with other negatives."""
    return "iid" if setting == "noise" else setting


def get_source(name: str, setting: str = "iid") -> Source:
    """Look a dataset up; raises UnknownNameError or DataError for a setting it has not."""
    setting = stored_setting(setting)
    known = sorted({n for n, _ in DATASETS} | {"synthetic"})
    if name not in known:
        raise UnknownNameError("dataset", name, known)
    if (name, setting) not in DATASETS:
        has = ", ".join(sorted(s for n, s in DATASETS if n == name)) or "iid (generated)"
        raise DataError(f"dataset {name!r} has no setting {setting!r}; it has: {has}")
    return DATASETS[name, setting]


def unreachable(name: str, setting: str = "iid") -> str:
    """Say why a dataset cannot be had here, as far as that shows without asking the network.

    Empty if it can: generated, in the mirror, or public.
    """
    if name == "synthetic":
        return "" if stored_setting(setting) == "iid" else GENERATED
    try:
        _locate(get_source(name, setting))
    except (DataError, UnknownNameError) as error:
        return str(error)
    return ""


def _locate(source: Source) -> Path | str:
    """Return the file in the mirror folder, or the address, that an archive is taken from.

    Raises
    ------
    DataError
        If it is in neither; the dataset is not named.
    """
    mirror = os.environ.get("PSL_DATA_MIRROR", "").strip()
    if mirror.startswith(("http://", "https://")):
        return f"{mirror.rstrip('/')}/{source.path}"
    if mirror:
        path = Path(mirror).expanduser() / source.path
        if not path.is_file():
            raise DataError(f"no file {source.path} in PSL_DATA_MIRROR {mirror}")
        return path
    if not source.available:
        raise DataError(
            f"not in the public dataset repository; put its archive at {source.path} under a "
            "folder and set PSL_DATA_MIRROR to that folder"
        )
    return f"{REPOSITORY}/{source.path}"


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
    try:
        place = _locate(source)
    except DataError as error:
        raise DataError(f"{name} ({setting}): {error}") from None
    if isinstance(place, Path):
        _verify(place, source)
        return place
    try:
        saved = _pooch().retrieve(
            place,
            known_hash=f"sha256:{source.sha256}" if source.sha256 else None,
            fname=f"{name}-{stored_setting(setting)}.zip",
            path=cache_folder(),
            progressbar=progress and find_spec("tqdm") is not None,  # pooch draws with it
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; bad hash: ValueError
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{name} ({setting}) could not be fetched: {reason}") from error
    return Path(saved)


def load(name: str = "synthetic", setting: str = "iid", *, progress: bool = False) -> Dataset:
    """Return a dataset by name, or from an archive of one's own (a path that ends in ``.zip``).

    ``"synthetic"`` needs no network and no file.  An archive is what ``psl data split`` writes; the
    dataset has the name of its file, for where that lies does not make other data.

    Raises
    ------
    UnknownNameError, DataError
        See :func:`psl.datasets.fetch`; also for an archive that does not hold what it should.
    """
    setting = stored_setting(setting)
    if _is_own(name):
        return read_archive(Path(name), Path(name).name, setting)
    if name == "synthetic":
        if setting != "iid":
            raise DataError(GENERATED)
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


def id_lists(name: str, data: Dataset) -> dict[str, list[str]]:
    """Return what the users and items of an archive of one's own are called, by number.

    Parameters
    ----------
    name : str
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
    if not _is_own(name):
        return {}
    sizes = {"user": data.train.num_users, "item": data.train.num_items}
    return read_names(Path(name), sizes, _remedy(data.name, data.setting))


def read_archive(path: Path, name: str, setting: str = "iid") -> Dataset:
    """Read ``train.tsv`` and ``test.tsv`` out of a zip archive; nothing is unpacked to disk.

    Raises
    ------
    DataError
        If it is missing, damaged or no such archive, or a test pair is a training pair too.
    """
    tables = read_pairs(path, _remedy(name, setting))
    num_users, num_items = (1 + max(int(t[:, c].max()) for t in tables) for c in (0, 1))
    train, test = (Interactions.from_pairs(t[:, 0], t[:, 1], num_users, num_items) for t in tables)
    shared = len(train) + len(test) - len(train.union(test))
    if shared:  # what was trained on is never recommended: such a pair could not be found
        raise DataError(
            f"{path}: {shared:,} of the {len(test):,} test pairs are training pairs too; take them "
            "out of test.tsv"
        )
    return Dataset(name, setting, train, test)


def _is_own(name: str) -> bool:
    return name.endswith(".zip")


def _remedy(name: str, setting: str) -> str:
    """Say what to do about an archive that is missing or damaged."""
    if (name, stored_setting(setting)) in DATASETS:
        return "fetch it again"
    return "`psl data split` writes one from a table of yours"


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
