"""Which records count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from companion.datasets import DATASETS
from psl.dataset import stored_setting

__all__ = ["by_time", "has_fingerprint", "of_registered_data"]


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


def by_time(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort records by when they were made: of one run on several devices the last one counts.

    Of two of one moment the order is that of their content.
    """
    return sorted(records, key=lambda r: (str(r["created"]), str(r.get("digest"))))
