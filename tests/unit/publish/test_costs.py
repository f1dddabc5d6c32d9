"""The cheapest check of a claim, and the table of receipts."""

from __future__ import annotations

from pathlib import Path

import pytest

from companion import claims, dynamics, publish, records
from companion.claims import read_statuses
from companion.experiments import cell, cell_command
from ledger import assessed
from psl.errors import RecordError

ROOT = Path(__file__).parents[3]
RECEIPT = {
    "seconds": {"claims": 50.0, "kernels": 10.0},
    "peak_memory_bytes": 7,
    "machine": {"device": "here", "kernels": "k", "system": "s"},
}
CONFIG = cell("amazon-electronic", "ood", "mf", "psl-relu")


def run(name: str, seconds: float, memory: int | None = 1, device: str = "d") -> dict:
    return {
        "run_id": name,
        "seconds": seconds,
        "peak_memory_bytes": memory,
        "device": device,
        "config": CONFIG.as_dict(),
    }


def row(name: str, *runs: str, status: str = "reproduced", command: str = "") -> dict:
    arguments = {"command": command} if command else {}
    return {"id": name, "status": status, "runs": list(runs), "arguments": arguments}


def test_a_value_takes_one_run_an_ordering_all_and_theory_the_receipts_time() -> None:
    runs = [run("a", 30.0, 5), run("b", 90.0, 9, "e"), run("a", 900.0, 1, "slow"), run("c", 1.0)]
    rows = [
        row("ordering", "a", "b", command="psl run table2"),
        row("value", "b", "a"),
        row("waits", status="not yet run"),
        row("waits-for-more", "a", status="not yet run", command="psl run table2"),
        row("theory", status="verified"),
    ]
    found = {cost.row["id"]: cost[1:] for cost in publish.costs(rows, runs, RECEIPT)}
    assert list(found) == ["value", "theory", "ordering"], "the cheapest first"
    data = "amazon-electronic (ood)"
    assert found["value"] == (cell_command(CONFIG), 30.0, 5, data, "d")
    assert found["ordering"] == ("psl run table2", 120.0, 9, data, "d; e")
    assert found["theory"] == ("psl claims", 50.0, 7, "", "here")
    (bare,) = publish.costs([row("v", "n")], [run("n", 1.0, None)], RECEIPT)
    assert bare.peak_memory_bytes is None


def test_every_decided_claim_has_a_command() -> None:
    """With the runs that really decide: of the records, or measured while they trained."""
    results = ROOT / "results"
    rows = assessed(results)
    decided = [r for r in rows if r["status"] != "not yet run"]
    found = publish.costs(decided, records.read(results), RECEIPT, dynamics.read(results))
    assert len(found) == len(decided) > 50
    assert all(cost.command.startswith("psl ") for cost in found)


def test_the_kept_receipts_are_whole_and_of_these_rows() -> None:
    receipts = publish.kept_receipts(ROOT / "receipts")
    assert any(name.startswith("companion-") for name in receipts)
    assert any(found.get("seconds") for found in receipts.values()), "the page quotes them"
    kept = read_statuses((ROOT / "results" / claims.STATUSES_FILE).read_text("utf-8"))
    table = publish.receipt_table(receipts, kept)
    ours = table[table["whose"] == "ours"]
    assert len(table) == len(receipts) and len(ours)
    assert set(ours["training twice"]) == {"the same bits"}
    assert all("verified" in text for text in ours["claims"])


def test_a_row_of_the_table_counts_and_says_what_differs(tmp_path: Path) -> None:
    made = {
        **RECEIPT,
        "created": "2026-11-29T00:00:00+00:00",
        "versions": {"python": "3", "torch": "2", "psl": "0"},
        "code_digest": "0" * 16,
        "claims": [{"id": "a", "status": "verified"}, {"id": "b", "status": "differs"}],
        "kernels": [{"what": "k", "verdict": "differs", "gap": 1.0}],
        "reruns": [],
        "training": {"what": "t", "verdict": "the same bits"},
    }
    (found,) = publish.receipt_table({"x": made}, {"a": "verified", "b": "verified"}).to_dict(
        "records"
    )
    assert found["whose"] == "sent in" and found["minutes"] == 1.0
    assert found["claims"] == "1 verified, 1 differs" and found["runs again"] == "none"
    assert "another psl" in found["versions"]
    assert (
        found["beside the ledger"]
        == "claim b: differs there, verified here; kernels: k: off by 1.0"
    )
    del made["seconds"]
    assert publish.receipt_table({"x": made}, {})["minutes"].isna().all()
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(RecordError):
        publish.kept_receipts(tmp_path)
    assert publish.kept_receipts(tmp_path / "none") == {}
