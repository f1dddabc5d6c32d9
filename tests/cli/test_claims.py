"""`psl claims`: the ledger as JSON, and its mutants."""

from __future__ import annotations

import json

import pytest

from companion import claims


def test_claims_are_json_and_every_mutant_with_evidence_dies(
    psl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a part of the ledger; ``tests/unit/claims`` has the whole."""
    some = claims.load_rows()[::5]
    monkeypatch.setattr(claims, "load_rows", lambda: some)
    rows = json.loads(psl("claims", "--json").stdout)
    keys = {"id", "section", "kind", "statement", "status", "check", "tolerance", "evidence"}
    assert all(keys <= row.keys() for row in rows)
    done = psl("claims", "--mutants", "--json")
    assert done.returncode == 0
    matrix = json.loads(done.stdout)
    assert {row["id"] for row in matrix} == {row["id"] for row in rows}
    assert sum(row["killed"] is True for row in matrix) >= 10


def test_a_mutant_that_lives_is_status_one(psl, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"id": "x", "mutant": "m", "before": "verified", "after": "verified"}
    row |= {"smallest": None, "unit": ""}
    for killed in (False, True):
        monkeypatch.setattr(claims, "kill_matrix", lambda _, k=killed: [row | {"killed": k}])
        assert psl("claims", "--mutants").returncode == int(not killed)
