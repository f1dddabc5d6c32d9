"""Typed errors: each says in one line what is wrong and what to do; the command exits with 2."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Self, TypeVar

__all__ = ["DataError", "PSLError", "RecordError", "TrainingError", "UnknownNameError", "look_up"]

T = TypeVar("T")


class PSLError(Exception):
    """Base of every error this package raises on purpose."""

    def __str__(self) -> str:
        """Return one line, whatever the names in it hold."""
        return " ".join(super().__str__().splitlines())


class DataError(PSLError):
    """A dataset is missing, unreachable, corrupt or malformed."""


class RecordError(PSLError):
    """A run record is malformed, or a needed one is absent."""


class TrainingError(PSLError):
    """A run cannot go on, e.g. its loss is no longer finite."""


class UnknownNameError(PSLError, ValueError):
    """A name is not registered; the message lists the valid names and the nearest one."""

    def __init__(
        self, kind: str, name: object, known: Iterable[str], meant: str | None = None
    ) -> None:
        names = list(known)
        self.given = kind, name, names, meant
        near = [meant] if meant else difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        super().__init__(f"unknown {kind} {name!r}{hint} Valid names: {', '.join(names)}")

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        # Between processes an exception travels as its class and one argument, its message.
        return type(self), self.given


def look_up(kind: str, name: str, table: Mapping[str, T], meant: str | None = None) -> T:
    """Return what a table holds under a name; UnknownNameError if there is no such name."""
    if name not in table:
        raise UnknownNameError(kind, name, table, meant)
    return table[name]
