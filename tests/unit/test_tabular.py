"""Tables of the chapters: heads with their scope, a sign beside every gain, numbers aligned."""

from __future__ import annotations

from math import nan

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from markupsafe import Markup

from companion import figures

GAINS = pd.DataFrame(
    {
        "loss": ["psl-relu", "bpr"],
        "setting": ["iid", "iid"],
        "noise_ratio": [0.05, 0.5],
        "metric": ["ndcg@20", "ndcg@20"],
        "ours": [0.012, -0.2],
        "low": [0.001, nan],
        "high": [0.023, nan],
        "seeds": [5, 1],
        "r": [0.5, nan],
        "p": [0.04, nan],
        "paper": [nan, -0.1],
    }
)


def test_a_table_for_eyes_and_for_ears() -> None:
    rows = (("<a>", "+1.0", Markup("<b>x</b>")), ("b", "+20.0", ""))
    table = figures.Tabular("Two & more", ("what", "n", "note"), rows, numbers=frozenset({1}))
    assert repr(table).splitlines() == [
        "Two & more",
        "what      n  note",
        "<a>    +1.0  x",
        "b     +20.0",
    ]
    page = BeautifulSoup(table._repr_html_(), "html.parser")
    assert "\n\n" not in table.html(), "to Markdown that would be the end of it"
    assert page.caption and page.caption.text == "Two & more"
    assert [h.text for h in page.select("thead th[scope=col]")] == ["what", "n", "note"]
    assert [h.text for h in page.select("tbody th[scope=row]")] == ["<a>", "b"]
    assert [c.text for c in page.select("td.number")] == ["+1.0", "+20.0"]
    assert page.select_one("td b") is not None
    assert table.html("A <title>").startswith("<details><summary>A &lt;title&gt;<")
    assert table.html() in table.html("A <title>")


def test_a_frame_becomes_a_table() -> None:
    frame = pd.DataFrame({"what": ["<a>", "b"], "n": [1.0, -20.0], "text": ["x", "y"]})
    table = figures.tabular(frame, "caption", {"n": "+.1f"})
    assert table.rows == (("<a>", "+1.0", "x"), ("b", "-20.0", "y")) and table.numbers == {1}
    named = figures.tabular(pd.DataFrame({"sl": ["sl@k", "recall@20", "an@b", "sl-like"]}))
    assert named.heads == ("SL",) and repr(named).split()[1:] == [
        "SL@K",
        "Recall@20",
        "an@b",
        "sl-like",
    ]
    empty = figures.tabular(frame[:0])
    assert repr(empty) == "what  n  text" and "caption" not in empty._repr_html_()


def test_a_gap_is_shown_by_its_bound_and_refused_above_it() -> None:
    table = figures.checked({"two formulas": (3e-13, 1e-12), "module": (0.0, 1e-5)}, "gaps")
    assert table.rows == (("two formulas", "1e-12"), ("module", "1e-05"))
    assert table.caption == "gaps" and table.numbers == {1}
    for gap in (1e-12, nan):
        with pytest.raises(AssertionError, match="two formulas"):
            figures.checked({"two formulas": (gap, 1e-12)})


def test_a_status_is_named_and_counted() -> None:
    assert (
        figures.badge("not <run>") == '<span class="status-not-&lt;run&gt;">not &lt;run&gt;</span>'
    )
    page = BeautifulSoup(figures.status_bar({"a b": 2, "c": 0, "d": 1}, "rows").html, "html.parser")
    assert [x.text for x in page.select(".status-bar span")] == ["2", "1"]
    assert page.select_one("[role=img]")["aria-label"] == "rows: 2 a b, 1 d"
    assert page.select_one(".status-key").text == "a b 2 d 1"


def test_a_gain_has_its_sign_and_what_is_missing_a_dash() -> None:
    table = figures.gain_table(GAINS, "gain over SL", p="p")
    assert repr(table).splitlines()[1:] == [
        "loss      noise ratio  metric     gain            95 %  seeds      r  p-value  printed",
        "PSL-relu  0.05         NDCG@20   +1.2%  +0.1% to +2.3%      5  +0.50    0.040        –",
        "BPR       0.5          NDCG@20  -20.0%               –      1      –        –   -10.0%",
    ]
    assert "\N{MINUS SIGN}20.0%" in table._repr_html_(), "as wide as a plus"
    one = figures.gain_table(GAINS[1:], "one seed")
    assert one.heads == ("loss", "metric", "gain", "seeds", "printed"), "no empty column"


def test_a_value_stands_beside_what_is_printed() -> None:
    values = GAINS.assign(ours=[0.11, 0.2], high=[0.12, nan], paper=[0.1, nan])
    assert repr(figures.value_table(values, "values")).splitlines()[1:] == [
        "loss      noise ratio  metric     ours       ±  seeds  printed     off",
        "PSL-relu  0.05         NDCG@20  0.1100  0.0100      5   0.1000  +10.0%",
        "BPR       0.5          NDCG@20  0.2000       –      1        –       –",
    ]
