"""Which records count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psl.datasets import DATASETS, stored_setting

__all__ = ["by_time", "differing", "of_registered_data"]


def of_registered_data(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records that count for the paper: those of no other data than the registered.

    Where no fingerprint is registered, as for generated data, every record counts.
    """
    out = []
    for record in records:
        config = record["config"]
        source = DATASETS.get((config["dataset"], stored_setting(config["setting"])))
        known = source.fingerprint if source else None
        if known in (None, record["dataset_fingerprint"]):
            out.append(record)
    return out


def by_time(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort records by when they were made: of one run on several devices the last one counts."""
    return sorted(records, key=lambda r: str(r["created"]))


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings in which some of these configurations are not like the others."""
    names = dict.fromkeys(name for c in configs for name in c)
    return [name for name in names if any(c.get(name) != configs[0].get(name) for c in configs)]
