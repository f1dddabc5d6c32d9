"""Records of made-up results, whole and consistent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from companion import records
from psl.training import RunConfig

SAME = {"recall@20": 0.5, "ndcg@20": 0.5}
OTHER = {"recall@20": 0.5, "ndcg@20": 0.25}


def record(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A record as it stands in a file, with nothing but what every record has."""
    config = changes.get("config", RunConfig(loss="sl", seed=seed, epochs=3).as_dict())
    every, last = config.get("validate_every", 5), config.get("epochs", 3)
    epochs = sorted({*range(every, last + 1, every), last})
    return sealed(
        {
            "schema": records.SCHEMA,
            "run_id": records.run_id(config),
            "experiment": "test",
            "config": config,
            "dataset_fingerprint": "f" * 64,
            "metrics": SAME,
            "validation_curve": [{"epoch": e, "loss": 1.5, "ndcg@20": 0.25} for e in epochs],
            "best_epoch": last,
            "seconds": 90.0,
            "peak_memory_bytes": 2**20,
            "device": "cpu",
            "versions": {"python": "3.12.0"},
            "code_digest": "c" * 16,
            "created": "2024-01-01T00:00:00+00:00",
            **changes,
        }
    )


def sealed(entry: dict[str, Any]) -> dict[str, Any]:
    """The record with the digest of what it says."""
    return entry | {"digest": records.content_digest(entry)}


def changed(seed: int, **config: object) -> dict[str, Any]:
    """A record of another configuration."""
    return record(seed, config=record(seed)["config"] | config)


def write(path: Path, *entries: dict[str, Any]) -> Path:
    """Write lines as they are, checked by nobody."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(e) + "\n" for e in entries))
    return path
