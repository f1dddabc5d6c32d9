"""Loss against SL everywhere: how the kinds of a cell are told apart, and what is counted."""

from __future__ import annotations

import math
import re

import pandas as pd

from companion.figures import gain_matrix

NAN = math.nan
COLUMNS = ["label", "loss", "ours", "low", "high", "corrected", "seeds"]
ROWS = [
    ("Health", "psl-relu", 0.021, 0.012, 0.03, 0.001, 5),
    ("Health", "psl-tanh", 0.021, 0.001, 0.041, 0.3, 5),
    ("Health", "bpr", -0.05, -0.07, -0.03, 0.2, 5),
    ("Health", "sl@20", -0.05, -0.07, -0.03, 0.002, 5),
    ("Gowalla", "psl-relu", 0.004, -0.01, 0.018, 1.0, 3),
    ("Gowalla", "psl-tanh", 0.012, NAN, NAN, NAN, 1),
]


def test_a_cell_has_a_sign_its_interval_and_no_colour_where_the_seeds_cannot_tell() -> None:
    shown = gain_matrix(pd.DataFrame(ROWS, columns=COLUMNS)).html
    cells = re.findall(r'<td>(?:<span class="cell status-([a-z- ]+)".*?</td>|</td>)', shown, re.S)
    heads = re.findall(r'<th scope="col">([^<]+)</th>', shown)
    assert heads == ["over SL", "PSL-tanh", "PSL-relu", "BPR", "SL@20"]
    filled = ["verified alone", "verified", "differs alone", "differs"]
    assert cells == [*filled, "not-yet-run", "cannot-tell", "", ""]
    for text in ("+2.1% <span aria-hidden", "▲▲", "▼▼", "○", "<small>−7.0…−3.0</small>"):
        assert text in shown
    assert "of 5 cells with several seeds 4 have a 95 % interval without zero, and 2 are" in shown
    assert shown.count('<th scope="row">') == 2
