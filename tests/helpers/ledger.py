"""Records of made-up results, and what the ledger says of them; the ledger, once a process."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

from companion import claims, datasets, records, reference
from companion.experiments import cell

WHERE = {"dataset": "amazon-electronic", "backbone": "mf"}


@cache
def assessed(results: Path | None = None) -> list[dict]:
    """The ledger of a folder of records, or without a record; not to be changed."""
    return claims.assess(claims.Subject.real(results))


def record(
    loss: str, ndcg: float, seed: int = 0, dataset: str = "amazon-electronic", **changes
) -> dict:
    config = cell(dataset, loss=loss, seed=seed, **changes).as_dict()
    source = datasets.get_source(dataset, config["setting"])
    return {
        "run_id": records.run_id(config),
        "experiment": "test",
        "config": config,
        "dataset_fingerprint": source.fingerprint or "one's own mirror",
        "metrics": {"ndcg@20": ndcg, "recall@20": ndcg},
        "created": "2000-01-01T00:00:00+00:00",
    }


def subject(*rows: dict) -> claims.Subject:
    return dataclasses.replace(claims.Subject.real(None), records=list(rows))


def value(*rows: dict, rounding: float = 0.0) -> str:
    paper = reference.reported("table1_iid", loss="sl", metric="ndcg@20", **WHERE)
    arguments = {
        "metric": "ndcg@20",
        "paper": paper,
        "tolerance": 0.05,
        "rounding": rounding,
        **WHERE,
    }
    arguments["setting"] = "iid"
    return claims.CHECKS["printed-value"](subject(*rows), loss="sl", **arguments).status


def other_data(row: dict) -> dict:
    return {**row, "dataset_fingerprint": "shuffled"}
