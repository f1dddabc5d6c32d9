"""The paper's tables as a dashboard: what a cell shows, its status, and where it leads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from companion import claims
from companion.figures import paper_tables
from companion.tables import overview
from ledger import assessed

RESULTS = Path(__file__).parents[2] / "results"
CELL = re.compile(
    r'<a class="cell status-([a-z-]+)" href="#row-([^"]+)" title="([^"]*)">\s*'
    r"([\d.]+)<br><b>([^<]+)</b>( <span aria-hidden=\"true\">(.)</span>)?"
)
SIGNS = {"reproduced": "✓", "within-noise": "≈", "differs": "✗"}


@pytest.fixture(scope="module")
def subject() -> claims.Subject:
    return claims.Subject.real(RESULTS)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return assessed(RESULTS)


@pytest.mark.parametrize(
    ("experiment", "count", "tables"), [("table1", 192, 12), ("table2", 64, 4), ("noise", 200, 8)]
)
def test_a_cell_says_what_its_row_of_the_ledger_says(
    subject, rows, experiment: str, count: int, tables: int
) -> None:
    table = overview(experiment, subject.records)
    shown = paper_tables(table, rows, "Table").html
    found, ledger = CELL.findall(shown), {row["id"]: row for row in rows}
    assert len(found) == count and len({name for _, name, *_ in found}) == count
    assert shown.count("<table>") == tables
    for status, name, _, paper, ours, _, sign in found:
        row = ledger[name]
        assert status == row["status"].replace(" ", "-") and sign == SIGNS.get(status, "")
        assert float(paper) == pytest.approx(row["arguments"]["paper"], abs=5.1e-5)
        if status == "not-yet-run":
            assert ours == "not run"
        else:  # the same number from another path: the ledger's own words
            assert f"{ours} over " in row["evidence"]
    run = sum(status in SIGNS for status, *_ in found)
    assert f"Table: {run} of {count} printed values run" in shown


def test_a_dataset_without_runs_is_folded(subject, rows) -> None:
    without = assessed()
    assert "<details open>" not in paper_tables(overview("table2", []), without, "").html
    shown = paper_tables(overview("table2", subject.records), rows, "").html
    assert re.search(r"<details open><summary>amazon-electronic: [1-9]\d* of 16 values run", shown)
    assert shown.count("<details open>") == 1
