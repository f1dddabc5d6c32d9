"""One process at a time at a file, and nothing left of those that were killed there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from psl.errors import PSLError
from psl.files import clear_temporaries, replace_file

__all__ = ["InUseError", "exclusive", "write"]


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
