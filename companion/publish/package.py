"""Wheel and sources of the commit that is checked out, the same bytes each time."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from companion.publish.archive import pack
from psl.errors import PSLError
from psl.files import replace_file

__all__ = ["build_package", "pack_sources"]

BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # the builds replace sys.argv
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""


def build_package(root: Path, dist: Path, seconds: int) -> list[Path]:
    """Build wheel and sources of what git has of a checkout; return their paths.

    Parameters
    ----------
    root, dist : Path
        The checkout, and the folder to write into.
    seconds : int
        Time of every file in them, since 1970: that of the commit.

    Raises
    ------
    PSLError
        If this is no git checkout, or the package cannot be built.
    """
    with TemporaryDirectory() as place:
        source, made = Path(place, "source"), Path(place, "made")
        made.mkdir()
        tree = _run(["git", "-C", str(root), "archive", "HEAD"])
        with tarfile.open(fileobj=BytesIO(tree)) as archive:
            archive.extractall(source, filter="data")
        _run(
            [sys.executable, "-c", BUILD, str(made)],
            cwd=source,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(seconds)},
        )
        paths = []
        for path in sorted(made.iterdir()):
            content = path.read_bytes()
            if path.suffix == ".gz":  # setuptools gives it the time of the build
                content = _with_time(content, seconds)
            paths.append(dist / path.name)
            replace_file(paths[-1], content)
    return paths


def pack_sources(root: Path, name: str, seconds: int) -> bytes:
    """Return what git has of a checkout as a ``.tar.gz``, in a folder ``name``.

    Time and PSLError as in :func:`build_package`.
    """
    prefix = f"--prefix={name}/"
    return _with_time(_run(["git", "-C", str(root), "archive", prefix, "HEAD"]), seconds)


def _with_time(packed: bytes, seconds: int) -> bytes:
    files, executable = {}, set()
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        for entry in archive:
            if content := archive.extractfile(entry):
                files[entry.name] = content.read()
                if entry.mode & 0o100:
                    executable.add(entry.name)
    return pack(files, seconds, executable)


def _run(words: list[str], **options: object) -> bytes:
    try:
        return subprocess.run(words, capture_output=True, check=True, **options).stdout  # type: ignore[call-overload]
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise PSLError(f"{' '.join(words[:2])} failed: {last}") from None
