"""Statements of the ledger as formulas: each kind of sign, and text that is none stays."""

from __future__ import annotations

import pytest
from markupsafe import escape

from companion.claims import load_rows
from companion.figures.formulas import typeset

SET = {
    "1[d >= 0] <= sigma_tanh(d) on [-1, 1].": "1[<i>d</i> ≥ 0] ≤ σ<sub>tanh</sub>(<i>d</i>)"
    " on [\N{MINUS SIGN}1, 1].",
    "by sigma'(d) sigma(d)^(1/tau - 1), over tau.": "by σ\N{PRIME}(<i>d</i>) σ(<i>d</i>)"
    "<sup>1/τ \N{MINUS SIGN} 1</sup>, over τ.",
    "-log DCG + log |P_u| <= x": "\N{MINUS SIGN}log DCG + log |<i>P</i><sub>u</sub>| ≤ <i>x</i>",
    "1 / log2(1 + rank)": "1 / log<sub>2</sub>(1 + rank)",
    "interactions / (users x items)": "interactions / (users \N{MULTIPLICATION SIGN} items)",
    "a < b & c": "a &lt; b &amp; c",
}


@pytest.mark.parametrize("text", SET)
def test_a_formula_is_set(text: str) -> None:
    assert typeset(text) == SET[text]


def test_no_formula_is_left_in_plain_text_and_names_stay() -> None:
    for row in load_rows():
        shown = typeset(row["statement"])
        assert not any(sign in shown for sign in ("^(", "&lt;=", "&gt;=", "sigma", "tau ", "tau)"))
        if row["check"] in ("printed-value", "better-than", "above-every", "gain-grows"):
            assert shown == escape(row["statement"])
