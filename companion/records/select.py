"""Which records count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from companion.datasets import DATASETS
from psl.dataset import stored_setting
from psl.errors import RecordError

__all__ = ["by_time", "find_run", "has_fingerprint", "of_registered_data"]


def of_registered_data(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records that count for the paper: those of no other data than the registered.

    Where no fingerprint is registered, as for generated data, every record counts.
    """
    return [r for r in records if _registered(r["config"]) in (None, r["dataset_fingerprint"])]


def has_fingerprint(place: Mapping[str, Any]) -> bool:
    """Return whether other data than the right one can be told, by ``dataset`` and ``setting``."""
    return _registered(place) is not None


def _registered(place: Mapping[str, Any]) -> str | None:
    source = DATASETS.get((place["dataset"], stored_setting(place["setting"])))
    return source.fingerprint if source else None


def find_run(records: Iterable[dict[str, Any]], start: str) -> dict[str, Any]:
    """Return the record of a run by the first digits of its id; of several devices' the last.

    Raises
    ------
    RecordError
        If no run's id begins so, or those of several do.
    """
    found = {r["run_id"]: r for r in by_time(records) if r["run_id"].startswith(start)}
    if not found or not start:
        raise RecordError(f"no record of a run whose id begins {start!r}; see psl records show")
    if len(found) > 1:
        some = ", ".join([*found][:3]) + (", ..." if len(found) > 3 else "")
        raise RecordError(f"{len(found)} runs have an id that begins {start!r}: {some}")
    return next(iter(found.values()))


def by_time(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort records by when they were made: of one run on several devices the last one counts.

    Of two of one moment the order is that of their content.
    """
    return sorted(records, key=lambda r: (str(r["created"]), str(r.get("digest"))))
