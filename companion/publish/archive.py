"""A ``.tar.gz`` whose bytes depend on nothing but names, contents and one time."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from gzip import GzipFile
from io import BytesIO

__all__ = ["pack"]


def pack(files: Mapping[str, bytes], seconds: int) -> bytes:
    """Return an archive of files, in the order of their names and nobody's.

    Parameters
    ----------
    files : mapping of str to bytes
        Content by place in the archive.
    seconds : int
        Time of every entry, since 1970.
    """
    packed = BytesIO()
    with (
        GzipFile(filename="", mode="wb", fileobj=packed, mtime=seconds, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(files[name]), seconds, 0o644
            archive.addfile(entry, BytesIO(files[name]))
    return packed.getvalue()
