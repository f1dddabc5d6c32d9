"""Writing a file so that nobody ever reads a part of it."""

import os
import secrets
import stat
from pathlib import Path

from psl.errors import PSLError

__all__ = ["follow_links", "replace_file"]


def follow_links(path: Path | str) -> Path:
    """Return where a link leads to: it is written through."""
    real = Path(os.path.realpath(path))
    if any(part.is_symlink() for part in (real, *real.parents)):
        raise PSLError(f"{path} cannot be written: its links lead round in a circle")
    if real.exists() and not real.is_file():  # a device would be replaced, a pipe waited for
        raise PSLError(f"{path} cannot be written: it is no file, but a folder, pipe or device")
    return real


def replace_file(path: Path | str, *content: bytes | memoryview) -> None:
    """Write a file so that a reader sees the old or the new content, never a part of it.

    Several parts stand one behind another.

    Folders above it are made.  After an error (a full disk) the old file is there, unchanged.
    A link stays one: what it leads to is replaced.  An old file's permissions stay; a new file has
    those of any that this process makes.
    """
    path = follow_links(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    # Opened as any file is, and not by tempfile: the system itself applies the umask.
    # Cut where the longest name that a file may have leaves no room.
    name = path.name if len(os.fsencode(path.name)) < 240 else path.name[:40]
    temporary = path.with_name(f".{name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        # Of a full disk the system does not say which file.
        raise OSError(error.errno, error.strerror, str(path)) from error
