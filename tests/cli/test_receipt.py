"""`psl receipt`: what came out here, in a file that says when it was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command import Psl, assert_refused
from companion import claims, receipt, records
from companion.doctor import Deviation
from companion.records import content_digest
from companion.rerun import allowed_gap
from psl.training import train
from small_runs import SMALL, data

CLAIMS = [
    {"id": "eq-1", "status": "verified"},
    {"id": "odd", "status": "differs"},
    {"id": "table", "status": "not yet run"},
]


@pytest.fixture
def quick(psl: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Psl:
    """The command with a short ledger, a short self-test, and one recorded run on data here."""
    monkeypatch.setattr(receipt.claims, "assess", lambda _: CLAIMS)
    monkeypatch.setattr(receipt, "self_test", lambda _: [Deviation("a kernel", 1e-7)])
    monkeypatch.setattr(receipt.datasets, "archives_here", lambda: {("synthetic", "iid"): ""})
    run = train(SMALL, data(), device="cpu")
    records.append(records.file_of(tmp_path / "results", "train"), run.record)
    claims.save_statuses(CLAIMS, tmp_path / "results")
    return psl


def edited(path: Path, *, sign: bool, **changes: Any) -> None:
    content = {**json.loads(path.read_text()), **changes}
    if sign:
        body = {key: value for key, value in content.items() if key != "digest"}
        content["digest"] = content_digest(body)
    path.write_text(json.dumps(content))


def test_a_receipt_is_written_and_read(quick: Psl, tmp_path: Path) -> None:
    done = quick("receipt")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "receipt.json").read_text())
    assert found["claims"] == CLAIMS[:2], "what waits for runs is none of its business"
    assert found["kernels"] == [{"what": "a kernel", "verdict": "within tolerance", "gap": 1e-7}]
    (again,) = found["reruns"]
    assert again["verdict"] == "the same bits" and SMALL.run_id in again["what"]
    assert found["training"]["verdict"] == "the same bits" and found["metrics"]["ndcg@20"] > 0
    assert set(found["seconds"]) == {"claims", "kernels", "reruns", "training"}
    assert found["seconds"]["reruns"] > 0 and found["peak_memory_bytes"] > 10**8
    text = (tmp_path / "receipt.json").read_text()
    assert str(tmp_path) not in text and set(found["machine"]) == {"system", "device", "kernels"}
    assert_refused(quick("receipt"), "is there; --force")

    done = quick("receipt", "check", "receipt.json")
    assert done.returncode == 0 and "as it is here" in done.stdout, done.stderr
    assert "1 verified, 1 differs" in done.stdout


def test_what_differs_is_told(quick: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt, "self_test", lambda _: [Deviation("a kernel", float("nan"))])
    assert quick("receipt").returncode == 0
    path = tmp_path / "receipt.json"
    others = [{"id": "eq-1", "status": "differs"}, {"id": "gone", "status": "verified"}]
    edited(path, sign=True, claims=others, code_digest="another")
    done = quick("receipt", "check", "receipt.json")
    assert done.returncode == 2
    for said in (
        "claim eq-1: differs there, verified here",
        "no such row",
        "a kernel: off by None",
    ):
        assert said in done.stdout
    assert "3 differences" in done.stdout and "another psl" in done.stderr


def test_a_changed_or_broken_file_is_refused(quick: Psl, tmp_path: Path) -> None:
    assert quick("receipt").returncode == 0
    path = tmp_path / "receipt.json"
    whole = path.read_text()
    check = ("receipt", "check", "receipt.json")
    parts = {k: v for k, v in json.loads(whole).items() if k not in ("seconds", "digest")}
    path.write_text(json.dumps(parts | {"digest": content_digest(parts)}))
    assert quick(*check).returncode == 0, "one that was made before costs were kept"
    path.write_text(whole)
    edited(path, sign=False, metrics={"ndcg@20": 0.9})
    assert_refused(quick(*check), "it was edited")
    wrong = {"claims": [{"id": "x", "status": "splendid"}], "schema": 2, "seconds": {"all": 1.0}}
    for name, value in wrong.items():
        path.write_text(whole)
        edited(path, sign=True, **{name: value})
        assert_refused(quick(*check), "no receipt", name)
    for text in ("", "[]", "{", "[" * 100_000, '{"schema": NaN}', "\x80"):
        path.write_text(text, encoding="latin-1")
        assert_refused(quick(*check), "no receipt")
    assert_refused(quick("receipt", "check", "gone.json"), "gone.json")
    path.write_text(whole)
    (tmp_path / "results" / "statuses.csv").unlink()
    assert_refused(quick(*check), "psl claims --save")


def test_without_data_it_says_that_nothing_was_run_again(
    quick: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt.datasets, "archives_here", lambda: {("synthetic", "iid"): "cut"})
    done = quick("receipt", "--output", "new/r.json")
    assert done.returncode == 0 and "reruns: none" in done.stdout
    assert json.loads((tmp_path / "new" / "r.json").read_text())["reruns"] == []


def test_ctrl_c_writes_nothing(quick: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(receipt, "self_test", stop)
    done = quick("receipt")
    assert done.returncode == 130 and not (tmp_path / "receipt.json").exists()


def test_another_kind_of_device_has_another_tolerance() -> None:
    one, two = "cpu, 1 threads, AVX512", "cpu, 2 threads, AVX2"
    assert allowed_gap(one, one) == allowed_gap(one, two) == allowed_gap("H200", "H200") == 1e-6
    assert allowed_gap("H200", "A100") == allowed_gap(one, "H200") == 1e-3
