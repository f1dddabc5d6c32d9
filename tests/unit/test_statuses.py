"""The ledger as HTML: a row's link, address and command."""

from __future__ import annotations

import pytest

from companion.figures import badge, ledger_filter, ledger_row, status_bar

ROW = {
    "id": "a-row",
    "statement": "x < y",
    "kind": "value",
    "chapter": "09-iid#through-a-graph",
    "status": "not yet run",
    "evidence": "0 of 3 seeds; psl run table1 --seeds 0-2",
}


def test_a_row_is_escaped_and_leads_to_its_chapter() -> None:
    what, status, evidence = ledger_row(ROW)
    assert 'href="09-iid.html#through-a-graph"><code>a-row</code></a> value' in what
    assert "x &lt; y<br>" in what and "id=" not in what
    assert status == '<span class="status-not-yet-run">not yet run</span>'
    assert evidence == "0 of 3 seeds; <code>psl run table1 --seeds 0-2</code>"


def test_one_list_of_a_page_gives_the_addresses() -> None:
    what, _, _ = ledger_row(ROW, address=True)
    assert '<code id="row-a-row">a-row</code>' in what


@pytest.mark.parametrize("status", ["reproduced", "cannot tell"])
def test_only_what_waits_has_a_command(status: str) -> None:
    _, _, evidence = ledger_row(ROW | {"status": status})
    assert evidence == ROW["evidence"]


def test_the_bar_and_the_search_name_each_status() -> None:
    bar = status_bar({"verified": 2, "differs": 0}, "rows").html
    assert 'aria-label="rows: 2 verified"' in bar and "differs" not in bar
    search = ledger_filter(["verified", "cannot tell"]).html
    assert search.startswith('<div class="ledger-filter" hidden>')
    assert search.count("<button") == 2 and badge("cannot tell").count("status-cannot-tell") == 1
    assert 'class="status-cannot-tell">cannot tell</button>' in search
