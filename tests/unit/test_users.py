"""The metrics of each user of a recorded run, and what a test over users says of two losses."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from companion.users import METRICS, Users, compare, read, save, users
from psl.errors import RecordError, TrainingError
from small_runs import SMALL, data, run


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return run(SMALL).record


def test_the_means_over_users_are_the_record(recorded: dict[str, Any], tmp_path: Path) -> None:
    found = users(recorded, data(), device="cpu")
    for metric in METRICS:
        values = found.by_user[metric]
        assert values.shape == (data().train.num_users,) and len(set(values)) > 3
        assert values.mean(dtype=float) == pytest.approx(recorded["metrics"][metric], abs=1e-7)
    path = save(found, tmp_path)
    kept = read(recorded, tmp_path)
    assert kept is not None and kept.device == recorded["device"]
    assert all((kept.by_user[m] == found.by_user[m]).all() for m in METRICS)
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(RecordError, match="no file of a run's users"):
        read(recorded, tmp_path)


def test_a_run_that_does_not_come_out_again_is_refused(recorded: dict[str, Any]) -> None:
    other = copy.deepcopy(recorded)
    other["metrics"]["ndcg@20"] += 1e-4
    with pytest.raises(TrainingError, match=r"does not come out again: off by 1\.0e-04"):
        users(other, data(), device="cpu")
    # Another device's last digits are others.
    assert users(other | {"device": "another"}, data(), device="cpu").run_id == other["run_id"]
    with pytest.raises(TrainingError, match="is not the data that the run"):
        users(recorded | {"dataset_fingerprint": "f"}, data())


def test_a_file_of_another_run_is_refused(recorded: dict[str, Any], tmp_path: Path) -> None:
    assert read(recorded, tmp_path) is None
    half = np.full(9, 0.5, dtype=np.float32)
    wrong = Users(recorded["run_id"], {m: half.copy() for m in METRICS}, "cpu")
    save(wrong, tmp_path)
    with pytest.raises(RecordError, match="it is not of the run"):
        read(recorded, tmp_path)


def _pairs(gain: float, seeds: int = 3, count: int = 400) -> list[tuple[int, Users, Users]]:
    rng = np.random.default_rng(7)
    base = rng.beta(1, 5, count)
    found = []
    for seed in range(seeds):
        one, two = (
            np.clip(base + rng.normal(shift, 0.1, count), 0, 1).astype(np.float32)
            for shift in (gain, 0.0)
        )
        found.append((seed, *(Users("", dict.fromkeys(METRICS, x), "") for x in (one, two))))
    return found


def test_users_and_seeds_are_compared_by_their_own_spread() -> None:
    pairs = _pairs(0.02)
    table = compare(pairs).set_index("seed")
    assert list(table.index) == ["0", "1", "2", "mean", "seeds"]
    assert list(table["units"]) == [400] * 4 + [3]
    seed, a, b = next((str(s), x.by_user, y.by_user) for s, x, y in pairs if s == 1)
    x, y = a["ndcg@20"].astype(float), b["ndcg@20"].astype(float)
    row = table.loc[seed]
    assert row["p"] == pytest.approx(stats.ttest_rel(x, y).pvalue)
    assert row["gain"] == pytest.approx(x.mean() / y.mean() - 1)
    # Of so many users the bootstrap's interval is Student's.
    half = stats.t.ppf(0.975, 399) * stats.sem(x - y) / y.mean()
    assert row["high"] - row["gain"] == pytest.approx(half, rel=0.05)
    assert row["gain"] - row["low"] == pytest.approx(half, rel=0.05)
    means = np.array([[u.by_user["ndcg@20"].mean(dtype=float) for u in p[1:]] for p in pairs])
    last = table.loc["seeds"]
    assert last["p"] == pytest.approx(stats.ttest_rel(*means.T).pvalue)
    assert last["gain"] == pytest.approx(table.loc["mean", "gain"])
    # The users' means over the seeds have less noise than the users of one.
    width = table["high"] - table["low"]
    assert width["mean"] < width["0"]


def test_the_other_way_round_the_gain_is_a_loss() -> None:
    pairs = [(s, two, one) for s, one, two in _pairs(0.05)]
    assert (compare(pairs, "recall@20", draws=500)["high"] < 0).all()
