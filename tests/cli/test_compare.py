"""`psl compare`: configurations over seeds, from saved files and from records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from command import TINY, Psl, assert_refused
from companion import records
from companion.comparison import Run, compare
from psl.errors import DataError
from run_records import record, write


def values(runs: dict[str, dict[int, float]]) -> list[Run]:
    return [
        Run(f"{loss}-{seed}", {"dataset": "d", "loss": loss, "seed": seed}, "f", value)
        for loss, seeds in runs.items()
        for seed, value in seeds.items()
    ]


def test_the_numbers_are_scipys() -> None:
    rng = np.random.default_rng(0)
    sl, psl = rng.random(5), rng.random(5)
    first, second = compare(
        values({"sl": dict(enumerate(sl)), "psl": dict(reversed([*enumerate(psl)]))})
    )
    assert (first.name, second.name) == ("loss sl", "loss psl") and first.gap is None
    assert second.seeds == (0, 1, 2, 3, 4) and second.own.mean == pytest.approx(psl.mean())
    test, gap = stats.ttest_rel(psl, sl), second.gap
    assert gap is not None and gap.p_value == pytest.approx(test.pvalue)
    ends = test.confidence_interval(0.95)
    assert (gap.low, gap.high) == (pytest.approx(ends.low), pytest.approx(ends.high))
    assert gap.relative == pytest.approx(psl.mean() / sl.mean() - 1)
    own = stats.t.interval(0.95, 4, loc=psl.mean(), scale=stats.sem(psl))
    assert (second.own.low, second.own.high) == (pytest.approx(own[0]), pytest.approx(own[1]))


def test_pairs_are_of_the_seeds_that_both_have() -> None:
    rows = compare(values({"sl": {0: 0.5, 1: 0.7}, "psl": {1: 0.9, 2: 0.1}, "bpr": {5: 0.3}}))
    gap = rows[1].gap
    assert gap is not None and gap.count == 1 and gap.mean == pytest.approx(0.2)
    assert rows[2].gap is None and rows[2].own.mean == 0.3


def test_what_does_not_compare_is_refused() -> None:
    runs = values({"sl": {0: 0.5}})
    with pytest.raises(DataError, match="nothing to compare"):
        compare([])
    with pytest.raises(DataError, match="sl-0 and sl-0 are of one run"):
        compare(runs * 2)
    with pytest.raises(DataError, match="other data"):
        compare([*runs, runs[0]._replace(fingerprint="g")])
    with pytest.raises(DataError, match="setting ood"):
        compare([*runs, runs[0]._replace(config=dict(runs[0].config, setting="ood"))])


def test_saved_files_and_records_from_the_shell(psl: Psl, tmp_path: Path) -> None:
    files = []
    for loss in ("sl", "psl-relu"):
        for seed in ("0", "1"):
            files.append(f"{loss}-{seed}.safetensors")
            words = ("--protocol", "clean", "--loss", loss, "--seed", seed, "--save", files[-1])
            assert not psl("train", *TINY, *words).returncode
    told = []
    for given in (files, ["results"]):
        done = psl("compare", *given, "--json")
        assert done.returncode == 0, done.stderr
        told.append({x["name"]: x for x in json.loads(done.stdout)["configurations"]})
    assert told[0].keys() == told[1].keys() == {"loss sl", "loss psl-relu"}
    kept = records.read(tmp_path / "results")
    for loss in ("sl", "psl-relu"):
        mean = np.mean([r["metrics"]["ndcg@20"] for r in kept if r["config"]["loss"] == loss])
        for found in told:  # protocol clean: records mask what the files do
            assert found[f"loss {loss}"]["mean"] == pytest.approx(mean, abs=1e-12)
    shown = psl("compare", *files, "--metric", "map@10")
    assert shown.returncode == 0 and "map@10" in shown.stdout and "%" in shown.stdout
    assert "gain: over loss sl" in shown.stdout
    assert_refused(psl("compare", files[0], "results"), "not both")
    assert_refused(psl("compare", files[0], "--metric", "fun@3"), "has no fun@3; there are ndcg@3")
    write(tmp_path / "r" / "other.jsonl", record(7))
    assert_refused(psl("compare", "results", "r"), "other data")
