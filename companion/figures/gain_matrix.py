"""Loss against SL everywhere: a row a place, a column a loss, filled where the seeds can tell."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from companion.figures.statuses import Html
from companion.names import LABELS
from companion.pages import render

__all__ = ["gain_matrix"]

LEVEL = 0.05
# By what the seeds say: how it is called, its sign, and the colour of a status; paler alone.
KINDS = {
    "ahead, corrected": ("above zero, corrected too", "▲▲", "verified"),
    "ahead": ("interval above zero", "▲", "verified alone"),
    "open": ("cannot tell", "○", "cannot-tell"),
    "one": ("one seed", "1", "not-yet-run"),
    "behind": ("interval below zero", "▼", "differs alone"),
    "behind, corrected": ("below zero, corrected too", "▼▼", "differs"),
}


def gain_matrix(table: pd.DataFrame) -> Html:
    """Return the gains as a matrix, with the 95 % interval of the paired seeds under each.

    A cell is filled where its interval excludes zero, and has its sign twice where it does so also
    after Holm's correction over the whole matrix.

    Parameters
    ----------
    table : DataFrame
        Of :func:`companion.tables.gains_everywhere`.
    """
    there = [loss for loss in LABELS if loss in set(table["loss"])]
    losses = sorted(there, key=lambda loss: not loss.startswith("psl-"))
    cells = {(row.label, row.loss): _cell(row) for row in table.itertuples()}
    places = dict.fromkeys(table["label"])
    rows = [(place, [cells.get((place, loss)) for loss in losses]) for place in places]
    found = Counter(cell["kind"] for cell in cells.values())
    several = len(cells) - found["one"]
    told = several - found["open"]
    kept = found["ahead, corrected"] + found["behind, corrected"]
    caption = (
        f"Gain over SL in NDCG@20: of {several} cells with several seeds {told} have a 95 % "
        f"interval without zero, and {kept} are left after correction for all of them."
    )
    kinds = {
        kind: dict(zip(("name", "sign", "colour"), v, strict=True)) for kind, v in KINDS.items()
    }
    names = [LABELS[loss] for loss in losses]
    return Html(render("gain_matrix.html", caption=caption, kinds=kinds, losses=names, rows=rows))


def _cell(row: Any) -> dict[str, str]:
    kind = "one" if row.low != row.low else "open"
    if row.low > 0 or row.high < 0:
        kind = "ahead" if row.low > 0 else "behind"
        kind += ", corrected" if row.corrected < LEVEL else ""
    ends = f"{100 * row.low:+.1f}…{100 * row.high:+.1f}" if kind != "one" else ""
    told = f"{row.seeds} seeds" if row.seeds > 1 else "one seed"
    return {"kind": kind, "gain": f"{row.ours:+.1%}", "ends": ends, "told": told}
