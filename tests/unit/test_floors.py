"""The baselines of the benchmark: settings by validation, the metric by the test part."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import floors
from companion import datasets
from psl.holdout import holdout
from psl.streams import numpy_stream


def ndcg_of_ease(kept, truth, hidden, ridge: float) -> float:
    """Solve EASE densely and rank in a loop over users."""
    seen = np.zeros((kept.num_users, kept.num_items))
    seen[kept.users, kept.items] = 1
    inverse = np.linalg.inv(seen.T @ seen + ridge * np.eye(kept.num_items))
    weight = -inverse / np.diag(inverse)
    np.fill_diagonal(weight, 0)
    score, values = seen @ weight, []
    for user in np.unique(truth.users):
        score[user, hidden.items[hidden.users == user]] = -np.inf
        wanted = set(truth.items[truth.users == user].tolist())
        order = np.argsort(-score[user], kind="stable")[:20]
        gain = sum(1 / np.log2(k + 2) for k, item in enumerate(order) if item in wanted)
        values.append(gain / sum(1 / np.log2(k + 2) for k in range(min(20, len(wanted)))))
    return float(np.mean(values))


def test_lines_are_put_in_place_of_those_of_their_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "floors.jsonl"
    file.write_text('{"dataset": "other"}\n{"dataset": "synthetic"}\n')
    monkeypatch.setattr(floors, "RESULTS", file)
    monkeypatch.setattr(floors, "FLOORS", {"ease": floors.FLOORS["ease"]})
    monkeypatch.setattr(sys, "argv", ["floors", "synthetic", "--seeds", "1-2"])
    floors.main()
    other, *lines = (json.loads(line) for line in file.read_text().splitlines())
    assert other == {"dataset": "other"}
    assert [(x["floor"], x["seed"]) for x in lines] == [("ease", 1), ("ease", 2)]
    data = datasets.load("synthetic", "iid")
    for line in lines:
        kept, held = holdout(data.train, 0.1, numpy_stream(line["seed"], "validation"))
        tried = {r: ndcg_of_ease(kept, held, kept, r) for r in (10.0, 100.0, 1000.0)}
        best = max(tried, key=tried.__getitem__)
        assert line["settings"] == {"ridge": best}
        assert line["validation_ndcg@20"] == pytest.approx(tried[best], rel=1e-6)
        on_test = ndcg_of_ease(kept, data.test, data.train, best)
        assert line["metrics"]["ndcg@20"] == pytest.approx(on_test, rel=1e-6)
        assert line["dataset_fingerprint"] and line["code_digest"]
