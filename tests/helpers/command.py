"""The command as a person uses it: exit status, one clear line."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from typer import Typer
from typer.main import get_command as make

TINY = ("--epochs", "2", "--negatives", "20", "--dim", "8")
NO_KERNELS = {"PSL_KERNELS": "off"}  # nothing to compile


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Psl = Callable[..., Done]


@cache
def click_command(app: Typer) -> Any:
    """Return what typer makes of its app at every call: the same each time, and slow to make."""
    return make(app)


def heed_hangups() -> None:
    """Undo in a child what ``nohup`` did to these tests: it would not be stopped by SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def assert_refused(done: Done, *words: str) -> None:
    assert done.returncode == 2, done
    message = done.stderr.strip()
    assert message.startswith("psl: ") and "\n" not in message and "Traceback" not in message
    for word in words:
        assert word in message
