"""Records with nothing but what every record has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from companion import records
from psl.training import RunConfig

CONFIG = {
    "dataset": "synthetic",
    "setting": "iid",
    "backbone": "mf",
    "loss": "sl",
    "protocol": "released",
    "epochs": 3,
}
SAME = {"recall@20": 0.5, "ndcg@20": 0.5}
OTHER = {"recall@20": 0.5, "ndcg@20": 0.25}


def record(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A record with nothing but what every record has."""
    config = {**CONFIG, "seed": seed}
    return {
        "run_id": records.run_id(config),
        "experiment": "test",
        "config": config,
        "dataset_fingerprint": "f" * 64,
        "metrics": SAME,
        "validation_curve": [],
        "best_epoch": 3,
        "seconds": 2.5,
        "created": "2024-01-01T00:00:00+00:00",
        "device": "cpu",
        **changes,
    }


def loadable(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A record of a whole configuration, as every command reads it."""
    config = RunConfig(loss="sl", seed=seed, epochs=3).as_dict()
    own = {"experiment": "smoke", "config": config, "run_id": records.run_id(config)}
    return record(**{**own, "seconds": 90.0, **changes})


def changed(seed: int, **config: object) -> dict[str, Any]:
    """A record of another configuration."""
    other = loadable(seed)["config"] | config
    return loadable(seed, config=other, run_id=records.run_id(other))


def write(path: Path, *entries: dict[str, Any]) -> Path:
    """Write lines as they are, checked by nobody."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(e) + "\n" for e in entries))
    return path
