"""A finding: what was looked at, how it is, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from psl.errors import PSLError

__all__ = ["Finding", "Status", "examine"]

Status = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """What was found.

    Attributes
    ----------
    name : str
    status : {"ok", "warn", "fail"}
        ``"warn"``: it works, but slower or not for all; ``"fail"``: it does not work.
    text : str
        As it is.
    remedy : str
        What to do; empty where nothing is to be done.
    """

    name: str
    status: Status
    text: str
    remedy: str = ""


def examine(name: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Give the findings of one look; one that ends in an error is a finding too."""
    try:
        yield from look()
    except PSLError as error:  # says what to do
        yield Finding(name, "fail", str(error))
    except Exception as error:  # whatever is broken here is what is asked for
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        yield Finding(name, "fail", text, "no command may work here; please report it")
