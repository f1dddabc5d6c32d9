"""The ledger as HTML: a row's link, address and command."""

from __future__ import annotations

import pytest

from companion.figures import (
    badge,
    counted,
    ledger_filter,
    ledger_row,
    place_in_paper,
    status_bar,
    verdict_cards,
)

ROW = {
    "id": "a-row",
    "statement": "x < y",
    "kind": "value",
    "chapter": "06-iid#through-a-graph",
    "status": "not yet run",
    "evidence": "0 of 3 seeds; psl run table1 --seeds 0-2",
}


def test_a_row_is_escaped_and_leads_to_its_chapter() -> None:
    what, status, evidence = ledger_row(ROW)
    assert 'href="06-iid.html#through-a-graph"><code>a-row</code></a> value' in what
    assert "<i>x</i> &lt; y<br>" in what and "id=" not in what
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


def test_a_fold_is_called_by_its_rows_and_their_statuses() -> None:
    rows = [{"status": "differs"}, {"status": "verified"}, {"status": "verified"}]
    assert counted("<A.3>", rows) == (
        '&lt;A.3&gt;, 3 rows <span class="status-verified">✓ 2 verified</span> '
        '<span class="status-differs">✗ 1 differs</span>'
    )
    assert counted("x", rows[:1]).startswith("x, 1 row <")


def test_a_card_says_what_is_claimed_found_how_sure_and_where() -> None:
    more = {"section": "A.3", "runs": ["a", "b"], "tolerance_source": "paired t-test"}
    row = ROW | more | {"status": "differs", "evidence": "behind bsl", "statement": "x <= tau"}
    card = verdict_cards([row]).html
    for text in (
        '<span class="status-differs">✗ differs</span> Appendix A.3',
        '<p class="statement"><i>x</i> ≤ τ</p>',
        "<dd>behind bsl</dd>",
        "<dd>2 recorded runs; paired t-test.</dd>",
        '<a href="06-iid.html#through-a-graph">Chapter 6</a>, <a href="#row-a-row">',
    ):
        assert text in card
    assert (
        "tolerance: exact." in verdict_cards([row | {"runs": [], "tolerance_source": "exact"}]).html
    )
    assert [place_in_paper(x) for x in ("5.2", "Fig. 2")] == ["Section 5.2", "Figure 2"]


def test_what_a_piece_of_html_shows_is_no_text_besides() -> None:
    assert repr(badge_bar := status_bar({"verified": 1}, "rows")) == "<HTML>"
    assert badge_bar._repr_html_() == badge_bar.html
