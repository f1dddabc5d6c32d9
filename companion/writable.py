"""Whether a file could be written, asked before hours of work."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from psl.errors import PSLError
from psl.files import follow_links

__all__ = ["check_writable"]


def check_writable(path: Path | str) -> None:
    """See that a file, and the folders above it, could be made, before hours of work.

    Nothing is left behind.

    Raises
    ------
    PSLError
        Which names the file, and why not.
    """
    path = follow_links(path)
    made = [folder for folder in path.parents if not folder.exists()]  # innermost first
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise PSLError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        for folder in made:
            with suppress(OSError):  # not made, or in use by now
                folder.rmdir()
