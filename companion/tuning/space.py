"""What is searched: temperature, step size and weight decay, unless they are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from companion.released import PaperConfig
from psl.dataset import Dataset
from psl.training.provenance import run_id

__all__ = ["DECAYS", "RANGES", "Search", "edges"]

# Searched on a logarithmic scale; the paper's tables lie within.
RANGES = {"tau": (0.01, 1.0), "lr": (0.0001, 1.0)}
DECAYS = (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)  # weight decay: 0 has no logarithm


@dataclass(frozen=True)
class Search:
    """A configuration, and which of its fields are searched.

    Attributes
    ----------
    config : PaperConfig
        Of the fields that are searched it has the usual values: they are tried first.
    fields : tuple of str
        Of ``tau``, ``lr``, ``weight_decay``.
    """

    config: PaperConfig
    fields: tuple[str, ...]

    @classmethod
    def of(cls, config: PaperConfig, given: Collection[str]) -> Search:
        """Search what was not given and changes the run."""
        fixed = {*given, *config.ignored()}
        return cls(config, tuple(f for f in (*RANGES, "weight_decay") if f not in fixed))

    def at(self, values: Mapping[str, float]) -> PaperConfig:
        """Return the configuration at a point: its numbers with three digits, as one would type."""
        point: dict[str, Any] = {f: float(f"{values[f]:.3g}") for f in self.fields}
        return replace(self.config, **point)

    def key(self, data: Dataset) -> str:
        """Return the digest of what is searched, and on which data; 16 hexadecimal digits."""
        fixed = {k: v for k, v in self.config.as_dict().items() if k not in self.fields}
        ranges = {f: list(RANGES.get(f, DECAYS)) for f in self.fields}
        return run_id({"config": fixed, "ranges": ranges, "data": data.fingerprint})


def edges(values: Mapping[str, Any]) -> list[str]:
    """Name the fields whose value lies near an end of its range: a better one may lie beyond."""
    near = []
    for field, (low, high) in RANGES.items():
        value = values.get(field)
        if value is not None and not 1.1 * low < value < high / 1.1:
            near.append(f"{field} {value:g} (searched: {low:g} to {high:g})")
    return near
