"""The outermost door: whatever goes wrong inside is one line and an exit status outside."""

from __future__ import annotations

import io
import logging
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch
from typer.core import TyperGroup

from companion.cli.console import err, say
from psl.errors import PSLError

__all__ = ["INPUT", "OURS", "Group", "run"]

INPUT, OURS = 2, 70  # exit status: of what was given, of a fault of this program (EX_SOFTWARE)
# What torch says of memory, and Python of paths, in plain RuntimeErrors.
PATHS = ("Symlink loop", "determine home directory")
MEMORY = ("allocate memory", "out of memory", "size calculation overflowed", "invalid buffer size")


class _Lines(logging.Handler):
    """What the module tells, above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"psl: {record.getMessage()}", err)


_LINES = _Lines()


class Group(TyperGroup):
    """A group of commands in which a file that ends too early is no Ctrl-D of the user's."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise RuntimeError(f"EOFError: {error}") from error


def run(app: Callable[[], object]) -> None:
    """Run the command; an error is one line and exit status 2, or 70 for a fault of ours.

    To be told to end, as a scheduler, a shutdown or a lost terminal does, is to be stopped by
    Ctrl-C: files are left whole, and what was trained is kept.  ``--debug``, wherever it stands,
    shows the traceback too.
    """
    debug = "--debug" in sys.argv
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--debug"]
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP; nohup has it ignored
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal has no letters for
            stream.reconfigure(errors="backslashreplace")
    logging.getLogger("psl").addHandler(_LINES)  # twice is once
    logging.getLogger("psl").setLevel(logging.INFO)
    warnings.showwarning = lambda message, *_, **__: say(f"psl: {message}", err)
    try:
        app()
    except Exception as error:
        if debug:
            traceback.print_exc()
        status, text = _explain(error)
        say("psl: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in text), err)
        sys.exit(status)


def _explain(error: Exception) -> tuple[int, str]:
    if isinstance(error, (PSLError, OSError)) or any(p in str(error) for p in PATHS):
        return INPUT, str(error)
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(m in text for m in MEMORY):
        return (
            INPUT,
            f"there is not the memory for this; lower dim, negatives or batch size ({text})",
        )
    return OURS, (
        f"{text[:500]}. This is a fault of psl and not of yours: please report it through the "
        "issues of its repository, with the command and the traceback that --debug shows"
    )
