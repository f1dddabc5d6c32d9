"""What runs are called: their configurations in words, and what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["differing", "names"]


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings in which some of these configurations are not like the others."""
    keys = dict.fromkeys(key for c in configs for key in c)
    return [key for key in keys if any(c.get(key) != configs[0].get(key) for c in configs)]


def names(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name runs in words, by their ids; where two have one name, all that differs is added."""
    alike: dict[str, list[str]] = {}
    for run_id, c in configs.items():
        words = [c["dataset"], c["setting"], f"{c['noise_ratio']:g}" if "noise_ratio" in c else ""]
        words += [c["backbone"], c["loss"], c.get("form", ""), f"seed {c['seed']}"]
        alike.setdefault(" ".join(filter(None, words)), []).append(run_id)
    out = {}
    for name, ids in alike.items():
        group = [configs[run_id] for run_id in ids]
        told = differing(group)
        for run_id, c in zip(ids, group, strict=True):
            apart = (f"{key.replace('_', ' ')} {c[key]}" for key in told if key in c)
            out[run_id] = ", ".join([name, *apart])
    return out
