"""Archives fetched and verified.

The public dataset repository of the paper's authors is pinned to one commit.  Setting the
environment variable ``PSL_DATA_MIRROR`` to a folder or URL with the same layout replaces it.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from psl.datasets.registry import Source, get_source, stored_setting
from psl.errors import DataError, UnknownNameError

__all__ = ["GENERATED", "cache_folder", "fetch", "unreachable"]

REPOSITORY = (
    "https://raw.githubusercontent.com/Tiny-Snow/IR-Benchmark-Dataset/"
    "18bbbe892301c6013579ae70f3cab9d666878e23"
)
GENERATED = "the synthetic dataset has the settings 'iid' and 'noise' only"


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
        path = Path(os.path.expanduser(mirror)) / source.path  # an unknown ~user stays as it is
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
    folder = Path(os.environ.get("PSL_CACHE") or _pooch().os_cache("psl"))
    if folder.parts[:1] == ("~",):
        raise DataError("there is no home folder to keep archives in; set PSL_CACHE to a folder")
    return folder


def fetch(name: str, setting: str = "iid", *, progress: bool = False) -> Path:
    """Return the path of the verified archive, downloading it into the cache if need be.

    Raises
    ------
    DataError
        If it is not public, cannot be reached, or its digest is not the registered one.
    """
    if name == "synthetic":
        raise DataError("synthetic: it is generated, there is no archive to fetch")
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
