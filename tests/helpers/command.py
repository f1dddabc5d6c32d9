"""The command as a person uses it: exit status, one clear line."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import NamedTuple

TINY = ("--epochs", "2", "--negatives", "20", "--dim", "8")
NO_KERNELS = {"PSL_KERNELS": "off"}  # nothing to compile


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Psl = Callable[..., Done]


def heed_hangups() -> None:
    """Undo in a child what ``nohup`` did to these tests: it would not be stopped by SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def assert_refused(done: Done, *words: str) -> None:
    assert done.returncode == 2, done
    message = done.stderr.strip()
    assert message.startswith("psl: ") and "\n" not in message and "Traceback" not in message
    for word in words:
        assert word in message
