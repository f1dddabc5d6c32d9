"""Which datasets have a name: where each lies and what it must contain."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

from psl.dataset import stored_setting
from psl.errors import DataError, UnknownNameError

__all__ = ["DATASETS", "Source", "get_source"]


@dataclass(frozen=True)
class Source:
    r"""Where a dataset lies and what it must contain.

    ``users``, ``items`` and ``interactions`` are the expected counts (Table B.1 for the paper's
    datasets, measured for the others).  The archive is known by its SHA-256, or by what git calls
    it, the SHA-1 of ``b"blob SIZE\0"`` and the content; ``size_bytes`` of it, and the
    ``fingerprint`` of what is in it, are ``None`` where no machine of ours has had it.
    """

    name: str
    setting: str
    path: str
    users: int
    items: int
    interactions: int
    sha256: str | None
    git_blob: str | None
    size_bytes: int | None
    fingerprint: str | None
    licence: str


def _registry() -> dict[tuple[str, str], Source]:
    with (files("companion.datasets") / "sources.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sources = (
        Source(
            row["name"],
            row["setting"],
            row["path"],
            int(row["users"]),
            int(row["items"]),
            int(row["interactions"]),
            row["sha256"] or None,
            row["git_blob"] or None,
            int(row["size_bytes"]) if row["size_bytes"] else None,
            row["fingerprint"] or None,
            row["licence"],
        )
        for row in rows
    )
    return {(source.name, source.setting): source for source in sources}


DATASETS = _registry()


def get_source(name: str, setting: str = "iid") -> Source:
    """Look a dataset up; raises UnknownNameError or DataError for a setting it has not."""
    setting = stored_setting(setting)
    known = sorted({n for n, _ in DATASETS} | {"synthetic"})
    if name not in known:
        raise UnknownNameError("dataset", name, known)
    if (name, setting) not in DATASETS:
        has = ", ".join(sorted(s for n, s in DATASETS if n == name)) or "iid (generated)"
        raise DataError(f"dataset {name!r} has no setting {setting!r}; it has: {has}")
    return DATASETS[name, setting]
