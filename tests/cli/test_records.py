"""`psl records` as a person uses it: shown, checked, rerun, merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command import Psl
from companion import claims, records
from companion.records.schema import Record
from run_records import changed, record, sealed, write


def test_whatever_may_be_appended_can_be_shown(
    psl: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record of the required keys alone is enough for every command that reads one."""
    least = record(0, experiment="smoke")
    needed = {f.alias or name for name, f in Record.model_fields.items() if f.is_required()}
    assert least.keys() == needed
    records.append(tmp_path / "results" / "smoke.jsonl", least)
    status, out, _ = psl("records", "show")
    assert status == 0 and "0.5000" in out and "1.5" in out
    assert psl("run", "smoke", "--dry-run")[0] == 0
    assert psl("run", "table1", "--dataset", "gowalla", "--dry-run", "--json")[0] == 0
    of_each_check = {row["check"]: row for row in claims.load_rows()}
    monkeypatch.setattr(claims, "load_rows", of_each_check.values)
    assert psl("claims", "--json")[0] == 0


def test_rerun_says_which_records_come_out_again(psl: Psl, tmp_path: Path) -> None:
    assert psl("run", "smoke", "--loss", "sl", "--loss", "bpr", "--threads", "1")[0] == 0
    path = tmp_path / "results" / "smoke.jsonl"
    status, out, err = psl("records", "rerun", "--device", "cpu")
    assert status == 0 and out.count(": the same bits, epoch 3") == 2 and not err
    assert out.endswith("2 the same bits\n")
    first, second = records.read(path)

    def off(by: float, key: str = "loss", **changes: str) -> dict[str, Any]:
        point, *rest = first["validation_curve"]
        curve = [point | {key: point[key] + by}, *rest]
        return sealed(first | {"validation_curve": curve} | changes)

    write(path, off(1e-3, "ndcg@20"), second)
    status, out, _ = psl("records", "rerun")
    assert status == 2 and f"{first['run_id']}  synthetic iid mf {first['config']['loss']}" in out
    assert "off by 1.0e-03, epoch 3" in out and out.endswith("1 the same bits, 1 off by more\n")
    for by, ends in ((1e-7, "1 within 1e-06\n"), (1e-5, "1 off by more\n")):
        write(path, off(by))
        status, out, _ = psl("records", "rerun")
        assert status == (2 if by > 1e-6 else 0) and out.endswith(ends)
    # A GPU's digits are others, and training enlarges them.
    for by, ends in ((1e-5, "1 within 0.001\n"), (1e-2, "1 off by more\n")):
        write(path, off(by, device="NVIDIA H200"))
        status, out, _ = psl("records", "rerun", "--device", "cpu")
        assert status == (2 if by > 1e-3 else 0) and out.endswith(ends)
        assert "(recorded on NVIDIA H200)" in out
    status, out, _ = psl("records", "rerun", "--tolerance=1")
    assert status == 0 and out.endswith("1 within 1\n")


def test_rerun_goes_on_where_a_record_cannot_be_compared(psl: Psl, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert psl("run", "smoke", "--loss", "sl")[0] == 0
    records.append(results / "smoke.jsonl", changed(1))
    status, out, _ = psl("records", "rerun")
    assert status == 0 and "not compared: synthetic is not the data" in out
    assert out.endswith("1 the same bits, 1 not compared\n")
    assert psl("records", "rerun", "--loss", "bpr")[0] == 2
    write(results / "smoke.jsonl", changed(1))
    assert psl("records", "rerun")[0] == 2


def test_users_are_kept_once_and_only_of_a_run_that_comes_out_again(
    psl: Psl, tmp_path: Path
) -> None:
    assert psl("run", "smoke", "--loss", "sl", "--loss", "bpr", "--threads", "1")[0] == 0
    folder = tmp_path / "results" / "users"
    assert psl("records", "users", "--seeds", "1")[0] == 0 and not folder.exists()
    status, out, _ = psl("records", "users", "--loss", "sl", "--seeds", "0")
    (kept,) = folder.iterdir()
    assert status == 0 and f"{kept.name}: " in out and "users, recall@20 0." in out
    before = kept.stat().st_mtime_ns
    status, out, err = psl("records", "users", "--loss", "sl")
    assert status == 0 and not out and "is there" in err and kept.stat().st_mtime_ns == before
    path = tmp_path / "results" / "smoke.jsonl"
    first, second = records.read(path)
    other = next(r for r in (first, second) if r["config"]["loss"] == "bpr")
    metrics = other["metrics"] | {"ndcg@20": other["metrics"]["ndcg@20"] + 1e-3}
    write(path, sealed(other | {"metrics": metrics}))
    status, _, err = psl("records", "users")
    assert status == 2 and "does not come out again: off by 1.0e-03" in err
    assert [*folder.iterdir()] == [kept]


def test_show_tells_runs_apart_in_eighty_columns(
    psl: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for negatives in (1000, 30):
        records.append(tmp_path / "results" / "smoke.jsonl", changed(0, negatives=negatives))
    other = changed(0, loss="bpr", setting="ood")
    write(tmp_path / "results" / "x.jsonl", other)
    status, out, _ = psl("records", "show")
    lines = [line for line in out.splitlines() if "mf" in line]
    assert status == 0 and "…" not in out and max(map(len, out.splitlines())) <= 80
    assert [line.split()[4:7] for line in lines[:2]] == [
        ["30", "0.2500", "0.5000"],
        ["1000", "0.2500", "0.5000"],
    ]
    assert "bpr" in lines[2] and "synthetic (ood)" in out
    status, out, _ = psl("records", "show", "--setting", "iid", "--loss", "sl")
    assert status == 0 and "bpr" not in out and out.count("mf sl") == 2
    status, out, _ = psl("records", "show", "--setting", "ood", "--json")
    assert status == 0 and json.loads(out) == [other]
    status, _, err = psl("records", "show", "--loss", "psl")
    assert status == 2 and "no record of what was asked for" in err


def test_show_has_what_a_run_is_chosen_by(psl: Psl, tmp_path: Path) -> None:
    curve = [{"epoch": e, "loss": 1.0, "ndcg@20": x} for e, x in ((1, 0.4321), (2, 0.1), (3, 0.1))]
    config = record()["config"] | {"validate_every": 1}
    for seed, best in ((0, 1), (1, 3)):
        rising = curve if best == 1 else [p | {"ndcg@20": p["epoch"] / 10} for p in curve]
        one = record(config=config | {"seed": seed}, validation_curve=rising, best_epoch=best)
        records.append(tmp_path / "results" / "test.jsonl", one)
    status, out, _ = psl("records", "show")
    assert status == 0 and "0.4321" in out and "0.3000" in out
    assert "1 of 2: the best epoch is the last, more epochs may give more" in out


def test_merge(psl: Psl, tmp_path: Path) -> None:
    records.append(tmp_path / "a.jsonl", record(0, experiment="smoke"))
    records.append(tmp_path / "b.jsonl", record(1, experiment="smoke"))
    status, out, _ = psl("records", "merge", "a.jsonl", "b.jsonl", "--into", "results")
    assert status == 0 and "2 new in results/smoke.jsonl" in out
    assert "nothing new" in psl("records", "merge", "a.jsonl", "--into", "results")[1]
    other = {"recall@20": 0.5, "ndcg@20": 0.25}
    records.append(tmp_path / "c.jsonl", record(0, experiment="smoke", metrics=other))
    status, _, err = psl("records", "merge", "c.jsonl", "--into", "results")
    assert status == 2 and "c.jsonl:1 and results/smoke.jsonl:1" in err and err.count("\n") == 1


def test_check_names_every_flaw(psl: Psl, tmp_path: Path) -> None:
    assert psl("run", "smoke", "--loss", "bpr", "--threads", "1")[0] == 0
    assert psl("records", "check")[0] == 0
    good = (tmp_path / "results" / "smoke.jsonl").read_text()
    strange = changed(0, loss="hinge")
    (tmp_path / "results" / "x.jsonl").write_text(good + good + json.dumps(strange) + "\n")
    status, _, err = psl("records", "check")
    assert status == 2
    lines = err.splitlines()
    assert len(lines) == 3
    assert "x.jsonl:1: the run" in lines[0] and "smoke.jsonl:1 again" in lines[0]
    assert "x.jsonl:2: the run" in lines[1]
    assert "x.jsonl:3: the configuration does not load (unknown loss 'hinge'" in lines[2]
    for other in (("show",), ("merge", "results", "--into", "elsewhere"), ("rerun",)):
        status, _, err = psl("records", *other)
        assert status == 2 and err.splitlines() == lines[:1], "one reader, one verdict"


def test_one_configuration_in_two_experiments(psl: Psl, tmp_path: Path) -> None:
    """An experiment has a file of its own: a run may stand in several, once in each."""
    for name in ("one", "two"):
        records.append(tmp_path / "results" / f"{name}.jsonl", record(0, experiment=name))
    assert psl("records", "check") == (0, "2 records in results: all well-formed\n", "")
    assert psl("records", "merge", "results", "--into", "more")[0] == 0
    assert len(records.read(tmp_path / "more")) == 2


def test_nothing_is_well_formed_where_nothing_is(psl: Psl) -> None:
    for command in ("check", "show", "rerun"):
        status, _, err = psl("records", command)
        assert status == 2 and "no run record at results; `psl train` writes them" in err
