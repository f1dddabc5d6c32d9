"""Archives fetched and verified.

The public dataset repository of the paper's authors is pinned to one commit.  Setting the
environment variable ``PSL_DATA_MIRROR`` to a folder or URL with the same layout replaces it.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from companion.datasets.registry import DATASETS, Source, get_source
from psl.dataset import stored_setting
from psl.errors import DataError, UnknownNameError

__all__ = ["GENERATED", "archives_here", "cache_folder", "fetch", "unreachable"]

REPOSITORY = (
    "https://raw.githubusercontent.com/Tiny-Snow/IR-Benchmark-Dataset/"
    "18bbbe892301c6013579ae70f3cab9d666878e23"
)
# For one archive, whatever the server does.
LONGEST_SECONDS = 1800.0
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
        If the mirror lacks it; the dataset is not named.
    """
    mirror = os.environ.get("PSL_DATA_MIRROR", "").strip()
    if mirror.startswith(("http://", "https://")):
        return f"{mirror.rstrip('/')}/{source.path}"
    if mirror:
        path = Path(os.path.expanduser(mirror)) / source.path  # an unknown ~user stays as it is
        if not path.is_file():
            raise DataError(f"no file {source.path} in PSL_DATA_MIRROR {mirror}")
        return path
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
        If it cannot be reached, not within half an hour, or its digest is not the registered one.
        What is not verified does not stay in the cache.
    """
    if name == "synthetic":
        raise DataError("synthetic: it is generated, there is no archive to fetch")
    source = get_source(name, setting)
    try:
        place = _locate(source)
    except DataError as error:
        raise DataError(f"{name} ({setting}): {error}") from None
    if isinstance(place, Path):
        if flaw := _flaw(place, source):
            raise DataError(f"{place}: {flaw}")
        return place
    folder, file = cache_folder(), _cached(source)
    try:
        if (folder / file).is_file() and _flaw(folder / file, source):
            (folder / file).unlink()  # damaged, or of another version
        return Path(
            _pooch().retrieve(
                place,
                known_hash=None,  # told below, before the file gets its name
                fname=file,
                path=folder,
                downloader=partial(_download, source=source, progress=progress),
            )
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        reason = " ".join(str(error).split())[:400]
        raise DataError(f"{name} ({setting}) could not be fetched: {reason}") from error


def archives_here() -> dict[tuple[str, str], str]:
    """Return the archives that are here already, by name and setting, and what is wrong with each.

    They are looked for in the mirror if that is a folder, else in the cache.  Empty text: the
    archive is as its checksum says.  Nothing is fetched or deleted.
    """
    out = {}
    for key, source in DATASETS.items():
        try:
            place = _locate(source)
        except DataError:  # the mirror lacks it
            continue
        path = place if isinstance(place, Path) else cache_folder() / _cached(source)
        if path.is_file():
            out[key] = _flaw(path, source)
    return out


def _cached(source: Source) -> str:
    """Return what an archive is called in the cache."""
    return f"{source.name}-{source.setting}.zip"


def _download(
    url: str, target: Any, manager: Any, check_only: bool = False, *, source: Source, progress: bool
) -> None:
    """Download for pooch, which names the file if this returns, verified and within the time."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            bar = progress and find_spec("tqdm") is not None  # pooch draws with it
            _pooch().HTTPDownloader(progressbar=bar)(url, target, manager)
        except BaseException as error:
            failed.append(error)

    # In a thread, for a server that sends a byte now and then is never silent for long.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(LONGEST_SECONDS)
    if thread.is_alive():
        raise TimeoutError(
            f"it takes longer than {LONGEST_SECONDS:g} s; get {url} otherwise, and set "
            f"PSL_DATA_MIRROR to a folder that has it as {source.path}"
        )
    if failed:
        raise failed[0]
    if flaw := _flaw(Path(target), source):
        raise ValueError(flaw)


def _pooch() -> Any:
    """Import the downloader where it is needed: a notebook without widgets gets no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        import pooch
    # It logs each address at level INFO; the progress bar and the error say enough.
    pooch.get_logger().setLevel("WARNING")
    return pooch


def _flaw(path: Path, source: Source) -> str:
    """Say why a file is not the registered archive; nothing if it is."""
    content = path.read_bytes()
    expected = source.sha256 or source.git_blob
    if source.sha256:
        kind, found = "SHA-256", hashlib.sha256(content).hexdigest()
    else:
        blob = b"blob %d\0" % len(content) + content
        kind, found = "git blob id", hashlib.sha1(blob, usedforsecurity=False).hexdigest()
    if found == expected:
        return ""
    if not content.startswith(b"PK"):
        return "it is no zip archive but, for instance, a page that says what is wrong"
    return f"{kind} is {found[:12]}..., expected {expected}; it is truncated or another version"
