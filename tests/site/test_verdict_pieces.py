"""The verdict's dashboard and its list of rows on one page, from a file and without a network."""

from __future__ import annotations

import pytest

from browser import offline_page
from companion.claims import STATUSES, Subject, assess
from companion.figures import Tabular, ledger_filter, ledger_row, paper_tables
from companion.tables import overview


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    rows = [r for r in assess(Subject.real(None)) if r["id"].startswith("table-2-")]
    heads = ("statement", "status", "command")
    folded = Tabular("", heads, tuple(ledger_row(row, address=True) for row in rows))
    html = paper_tables(overview("table2", []), rows, "Table 2").html
    html += ledger_filter(STATUSES).html + folded.html("values that wait")
    path = tmp_path_factory.mktemp("verdict") / "page.html"
    path.write_text(f'<!doctype html><meta charset="utf-8">{html}', encoding="utf-8")
    return path.as_uri()


def test_a_cell_leads_to_its_row_and_opens_the_list(browser, address: str) -> None:
    page, faults = offline_page(browser, address)
    row = page.locator("[id='row-table-2-cd-mf-sl-ndcg-20']")
    assert not row.is_visible()
    page.locator("summary", has_text="amazon-cd").click()
    cell = page.locator(".paper-tables a[href='#row-table-2-cd-mf-sl-ndcg-20']")
    assert cell.inner_text().split("\n")[1] == "not run"
    # The browser opens the list by itself, and says later that the address has changed.
    told = "new Promise(done => addEventListener('hashchange', () => done()))"
    page.evaluate(f"() => {{ window.moved = {told} }}")
    cell.click()
    row.wait_for()
    page.evaluate("window.moved")
    # A search that leaves the row out gives way to a link to it.
    page.locator("input[type=search]").fill("gowalla")
    assert not row.is_visible()
    assert not cell.is_visible()
    page.evaluate("location.hash = '#row-table-2-cd-mf-bpr-ndcg-20'")  # as a card's link does
    page.locator("[id='row-table-2-cd-mf-bpr-ndcg-20']").wait_for()
    assert (
        row.is_visible()
        and cell.is_visible()
        and page.locator("input[type=search]").input_value() == ""
    )
    assert not faults
    page.context.close()


def test_an_address_opens_the_list_too(browser, address: str) -> None:
    page, faults = offline_page(browser, f"{address}#row-table-2-cd-mf-sl-ndcg-20")
    assert page.locator("[id='row-table-2-cd-mf-sl-ndcg-20']").is_visible() and not faults
    page.context.close()
