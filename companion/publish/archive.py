"""A ``.tar.gz`` whose bytes depend on nothing but names, contents and one time."""

from __future__ import annotations

import tarfile
from collections.abc import Container, Mapping
from gzip import GzipFile
from io import BytesIO

__all__ = ["pack"]


def pack(
    files: Mapping[str, bytes], seconds: int, executable: Container[str] = frozenset()
) -> bytes:
    """Return an archive of files, in the order of their names and nobody's.

    Parameters
    ----------
    files : mapping of str to bytes
        Content by place in the archive.
    seconds : int
        Time of every entry, since 1970.
    executable : container of str
        Places of what may be run.
    """
    packed = BytesIO()
    with (
        GzipFile(filename="", mode="wb", fileobj=packed, mtime=seconds, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(files[name]), seconds
            entry.mode = 0o755 if name in executable else 0o644
            archive.addfile(entry, BytesIO(files[name]))
    return packed.getvalue()
