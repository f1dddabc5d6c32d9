"""What is searched: temperature, step size and weight decay, and a loss's own options if asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from companion.released import PaperConfig
from psl.dataset import Dataset
from psl.training.provenance import run_id

__all__ = ["DECAYS", "OWN", "RANGES", "Range", "Search"]


@dataclass(frozen=True)
class Range:
    """Where a number is searched.

    Attributes
    ----------
    low, high : float
    usual : float or None
        Tried first; that of the configuration where it is ``None``.
    log : bool
        Whether the scale is logarithmic.
    """

    low: float
    high: float
    usual: float | None = None
    log: bool = True


# The paper's tables lie within.
RANGES = {"tau": Range(0.01, 1.0), "lr": Range(0.0001, 1.0)}
DECAYS = (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)  # weight decay: 0 has no logarithm
# Options of a loss: around the values of the paper that proposed it, which are the usual ones.
_AT_K = {"tau_weight": Range(0.25, 5.0, 1.25)}
_GAMMA = {"gamma": Range(0.1, 1.0, 0.9, log=False)}
OWN: dict[str, dict[str, Range]] = {
    "llpauc": {"alpha": Range(0.1, 1.0, 0.7, log=False), "beta": Range(0.01, 1.0, 0.01)},
    "bsl": {"tau2": Range(0.01, 1.0, 0.1)},
    "sl@20": _AT_K,
    "sl@k": _AT_K,
    "sogclr": _GAMMA,
    "sogsl@k": _AT_K | _GAMMA,
    "drrl": {
        "margin": Range(0.0, 0.95, 0.7, log=False),
        "order": Range(1.1, 1000.0, 150.0),
        "negative_weight": Range(0.1, 10.0, 1.0),
    },
    "ccl": {
        "margin": Range(0.0, 0.95, 0.4, log=False),
        "negative_weight": Range(1.0, 1000.0, 150.0),
    },
    "gbce": {"calibration": Range(0.0, 1.0, 0.75, log=False)},
    "simce": {"margin": Range(0.5, 20.0, 5.0)},
}


@dataclass(frozen=True)
class Search:
    """A configuration, and which of its fields are searched.

    Attributes
    ----------
    config : PaperConfig
        Of the fields that are searched it has the usual values: they are tried first.
    fields : tuple of str
        ``tau``, ``lr``, ``weight_decay``, then options of the loss, as far as they are searched.
    """

    config: PaperConfig
    fields: tuple[str, ...]

    @classmethod
    def of(cls, config: PaperConfig, given: Collection[str], *, own: bool = False) -> Search:
        """Search what was not given and changes the run; the loss's own options if ``own``."""
        options = OWN.get(config.loss, {}) if own else {}
        fixed = {*given, *config.ignored()}
        fields = tuple(f for f in (*RANGES, "weight_decay", *options) if f not in fixed)
        usual: dict[str, Any] = {f: options[f].usual for f in fields if f in options}
        return cls(replace(config, **usual), fields)

    @property
    def ranges(self) -> dict[str, Range]:
        """Where each number is searched; the weight decay is one of :data:`DECAYS`."""
        known = RANGES | OWN.get(self.config.loss, {})
        return {f: known[f] for f in self.fields if f in known}

    def at(self, values: Mapping[str, float]) -> PaperConfig:
        """Return the configuration at a point: its numbers with three digits, as one would type."""
        point: dict[str, Any] = {f: float(f"{values[f]:.3g}") for f in self.fields}
        return replace(self.config, **point)

    def edges(self, config: PaperConfig) -> list[str]:
        """Name the fields whose value lies near an end of its range: a better one may lie beyond.

        An end that the loss itself has, such as ``gamma`` 1, is none.
        """
        near = []
        for field, r in self.ranges.items():
            value = getattr(config, field)
            if r.log and not 1.1 * r.low < value < r.high / 1.1:
                near.append(f"{field} {value:g} (searched: {r.low:g} to {r.high:g})")
        return near

    def key(self, data: Dataset) -> str:
        """Return the digest of what is searched, and on which data; 16 hexadecimal digits."""
        fixed = {k: v for k, v in self.config.as_dict().items() if k not in self.fields}
        ranges: dict[str, Any] = {f: [r.low, r.high] for f, r in self.ranges.items()}
        if "weight_decay" in self.fields:
            ranges["weight_decay"] = list(DECAYS)
        return run_id({"config": fixed, "ranges": ranges, "data": data.fingerprint})
