"""`psl records` as a person uses it: shown, checked, rerun, merged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import Psl
from companion import records
from companion.records import schema
from run_records import changed, loadable


def test_whatever_may_be_appended_can_be_shown(psl: Psl, tmp_path: Path) -> None:
    """A record of the required keys alone is enough for every command that reads one."""
    least = loadable(0)
    assert least.keys() == schema.REQUIRED.keys()
    least["config"] = {k: least["config"][k] for k in schema.REQUIRED_CONFIG}
    least["run_id"] = records.run_id(least["config"])
    records.append(tmp_path / "results" / "smoke.jsonl", least)
    status, out, _ = psl("records", "show")
    assert status == 0 and "0.5000" in out and "1.5" in out
    assert psl("run", "smoke", "--dry-run")[0] == 0
    assert psl("run", "table1", "--dataset", "gowalla", "--dry-run", "--json")[0] == 0
    assert psl("claims", "--json")[0] == 0


def test_rerun_says_which_records_come_out_again(psl: Psl, tmp_path: Path) -> None:
    assert psl("run", "smoke", "--loss", "sl", "--loss", "bpr", "--threads", "1")[0] == 0
    path = tmp_path / "results" / "smoke.jsonl"
    status, out, err = psl("records", "rerun", "--device", "cpu")
    assert status == 0 and out.count(": the same bits, epoch 3") == 2 and not err
    assert out.endswith("2 the same bits\n")
    first, second = records.read(path)
    first["validation_curve"][0]["ndcg@20"] += 1e-3
    path.write_text("".join(json.dumps(r) + "\n" for r in (first, second)))
    status, out, _ = psl("records", "rerun")
    assert status == 2 and f"{first['run_id']}  synthetic iid mf {first['config']['loss']}" in out
    assert "off by 1.0e-03, epoch 3" in out and out.endswith("1 the same bits, 1 off by more\n")
    first["validation_curve"][0]["ndcg@20"] -= 1e-3
    for off, ends in ((1e-7, "1 within 1e-06\n"), (1e-5, "1 off by more\n")):
        near = json.loads(json.dumps(first))
        near["validation_curve"][0]["loss"] += off
        path.write_text(json.dumps(near) + "\n")
        status, out, _ = psl("records", "rerun")
        assert status == (2 if off > 1e-6 else 0) and out.endswith(ends)
    # A GPU's digits are others, and training enlarges them.
    for off, ends in ((1e-5, "1 within 0.001\n"), (1e-2, "1 off by more\n")):
        far = json.loads(json.dumps(first)) | {"device": "NVIDIA H200"}
        far["validation_curve"][0]["loss"] += off
        path.write_text(json.dumps(far) + "\n")
        status, out, _ = psl("records", "rerun", "--device", "cpu")
        assert status == (2 if off > 1e-3 else 0) and out.endswith(ends)
        assert "(recorded on NVIDIA H200)" in out
    status, out, _ = psl("records", "rerun", "--tolerance=1")
    assert status == 0 and out.endswith("1 within 1\n")
    first["validation_curve"][0]["loss"] = float("nan")
    path.write_text(json.dumps(first) + "\n")
    status, out, _ = psl("records", "rerun")
    assert status == 2 and out.endswith("1 off by more\n")


def test_rerun_goes_on_where_a_record_cannot_be_compared(psl: Psl, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert psl("run", "smoke", "--loss", "sl")[0] == 0
    records.append(results / "smoke.jsonl", changed(1))
    status, out, _ = psl("records", "rerun")
    assert status == 0 and "not compared: synthetic is not the data" in out
    assert out.endswith("1 the same bits, 1 not compared\n")
    assert psl("records", "rerun", "--loss", "bpr")[0] == 2
    (only,) = [r for r in records.read(results) if r["config"]["seed"] == 1]
    (results / "smoke.jsonl").write_text(json.dumps(only) + "\n")
    assert psl("records", "rerun")[0] == 2


def test_show_tells_runs_apart_in_eighty_columns(
    psl: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for negatives in (1000, 30):
        records.append(tmp_path / "results" / "smoke.jsonl", changed(0, negatives=negatives))
    strange = changed(0, loss="hinge", setting="ood")
    (tmp_path / "results" / "x.jsonl").write_text(json.dumps(strange) + "\n")
    status, out, _ = psl("records", "show")
    lines = [line for line in out.splitlines() if "mf" in line]
    assert status == 0 and "…" not in out and max(map(len, out.splitlines())) <= 80
    assert [line.split()[4:6] for line in lines[:2]] == [["30", "0.5000"], ["1000", "0.5000"]]
    assert "hinge" in lines[2] and "synthetic (ood)" in out
    status, out, _ = psl("records", "show", "--setting", "iid", "--loss", "sl")
    assert status == 0 and "hinge" not in out and out.count("mf sl") == 2
    status, out, _ = psl("records", "show", "--setting", "ood", "--json")
    assert status == 0 and json.loads(out) == [strange]
    status, _, err = psl("records", "show", "--loss", "psl")
    assert status == 2 and "no record of what was asked for" in err


def test_merge(psl: Psl, tmp_path: Path) -> None:
    records.append(tmp_path / "a.jsonl", loadable(0))
    records.append(tmp_path / "b.jsonl", loadable(1))
    status, out, _ = psl("records", "merge", "a.jsonl", "b.jsonl", "--into", "results")
    assert status == 0 and "2 new in results/smoke.jsonl" in out
    assert "nothing new" in psl("records", "merge", "a.jsonl", "--into", "results")[1]
    other = {"recall@20": 0.5, "ndcg@20": 0.25}
    records.append(tmp_path / "c.jsonl", loadable(0, metrics=other))
    status, _, err = psl("records", "merge", "c.jsonl", "--into", "results")
    assert status == 2 and "c.jsonl:1 and results/smoke.jsonl:1" in err and err.count("\n") == 1


def test_check_names_every_flaw(psl: Psl, tmp_path: Path) -> None:
    assert psl("run", "smoke", "--loss", "bpr", "--threads", "1")[0] == 0
    assert psl("records", "check")[0] == 0
    good = (tmp_path / "results" / "smoke.jsonl").read_text()
    config = loadable(0)["config"] | {"loss": "hinge"}
    strange = loadable(0, config=config, run_id=records.run_id(config))
    (tmp_path / "results" / "x.jsonl").write_text(good + json.dumps(strange) + "\n")
    status, _, err = psl("records", "check")
    assert status == 2
    lines = err.splitlines()
    assert len(lines) == 2 and "x.jsonl:1: the run" in lines[0] and "smoke.jsonl:1" in lines[0]
    assert "x.jsonl:2: the configuration does not load" in lines[1]
