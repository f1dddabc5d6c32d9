"""Tables of the chapters: heads with their scope, a sign beside every gain, numbers aligned."""

from __future__ import annotations

from math import nan

import pandas as pd
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
    frame = pd.DataFrame({"what": ["<a>", "b"], "n": [1, 20], "note": [Markup("<b>x</b>"), ""]})
    table = figures.tabular(frame, "Two & more", {"n": "+.1f"})
    assert repr(table).splitlines() == [
        "Two & more",
        "what      n  note",
        "<a>    +1.0  x",
        "b     +20.0",
    ]
    page = BeautifulSoup(table._repr_html_(), "html.parser")
    assert page.caption and page.caption.text == "Two & more"
    assert [h.text for h in page.select("thead th[scope=col]")] == ["what", "n", "note"]
    assert [h.text for h in page.select("tbody th[scope=row]")] == ["<a>", "b"]
    assert [c.text for c in page.select("td.number")] == ["+1.0", "+20.0"]
    assert page.select_one("td b") is not None
    assert table._repr_html_() == figures.tabular(frame, "Two & more", {"n": "+.1f"})._repr_html_()
    empty = figures.tabular(frame[:0])
    assert repr(empty) == "what  n  note" and "caption" not in empty._repr_html_()


def test_a_gain_has_its_sign_and_what_is_missing_a_dash() -> None:
    table = figures.gain_table(GAINS, "gain over SL", p="p")
    assert repr(table).splitlines()[1:] == [
        "loss      p of noise  metric     gain            95 %  seeds      r      p  printed",
        "psl-relu  0.05        ndcg@20   +1.2%  +0.1% to +2.3%      5  +0.50  0.040        –",
        "bpr       0.5         ndcg@20  -20.0%               –      1      –      –   -10.0%",
    ]
    assert "\N{MINUS SIGN}20.0%" in table._repr_html_(), "as wide as a plus"
    one = figures.gain_table(GAINS[1:], "one seed")
    assert one.heads == ("loss", "metric", "gain", "seeds", "printed"), "no empty column"


def test_a_value_stands_beside_what_is_printed() -> None:
    values = GAINS.assign(ours=[0.11, 0.2], high=[0.12, nan], paper=[0.1, nan])
    assert repr(figures.value_table(values, "values")).splitlines()[1:] == [
        "loss      p of noise  metric     ours       ±  seeds  printed     off",
        "psl-relu  0.05        ndcg@20  0.1100  0.0100      5   0.1000  +10.0%",
        "bpr       0.5         ndcg@20  0.2000       –      1        –       –",
    ]
