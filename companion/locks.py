"""One process at a time at a file, and nothing left of those killed while they wrote it."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from psl.errors import PSLError
from psl.files import replace_file

__all__ = ["InUseError", "clear_temporaries", "exclusive", "write", "writing"]


class InUseError(PSLError):
    """Another process is at this file."""


@contextmanager
def exclusive(path: Path | str, *, wait: bool = True, remove: bool = False) -> Iterator[None]:
    """Hold the lock of a file, and remove what killed writers left beside it.

    The lock lies beside what a link leads to: whoever takes either name finds the other.  The
    system gives it back when its holder dies, however it dies.  With ``remove`` it leaves no file.

    Raises
    ------
    InUseError
        If another process holds it and ``wait`` is false.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name if len(os.fsencode(path.name)) < 240 else path.name[:40]
    lock = FileLock(path.with_name(f".{name}.lock"), blocking=wait)
    try:
        lock.acquire()
    except Timeout:
        raise InUseError(f"{path}: another process is at it") from None
    try:
        clear_temporaries(path)  # whoever writes holds the lock: their writers are dead
        yield
    finally:
        if remove:  # before others can hold it; who waits for it already finds another in its place
            with suppress(OSError):  # Windows deletes no open file
                Path(lock.lock_file).unlink()
        lock.release()


def write(path: Path | str, content: bytes) -> None:
    """Write a file as a whole or not at all, and remove what killed writers left beside it."""
    with exclusive(path, remove=True):
        replace_file(path, content)


@contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """Give a name to write a large file under, part by part; it gets its own once it is whole.

    After an error, or a kill, what was there before is there still.  What lies at the name for a
    while is removed by who takes the lock next, if this process dies.
    """
    path = Path(os.path.realpath(path))
    with exclusive(path, remove=True):
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def clear_temporaries(path: Path) -> None:
    """Remove what killed writers of a file left beside it; only where nobody writes it now."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}"):
        temporary.unlink(missing_ok=True)
