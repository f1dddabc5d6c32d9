"""A table of the paper as it is printed, with our value and its status in each cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from companion.figures.statuses import MARKS, Html
from companion.names import LABELS, metric_name
from companion.pages import render

__all__ = ["paper_tables"]

BACKBONES = {"mf": "MF", "lightgcn": "LightGCN", "xsimgcl": "XSimGCL"}
RUN = ("reproduced", "within noise", "differs")
_PLACE = ("dataset", "setting", "backbone", "loss", "form", "noise_ratio", "metric")


def paper_tables(table: pd.DataFrame, rows: Iterable[Mapping[str, Any]], title: str) -> Html:
    """Return the values of a table of the paper, printed above ours, coloured by their status.

    A dataset is folded, but the one of which most was run.  Within it there is a table for each
    backbone, of losses by metrics; under noise one for each metric, of losses by ratios.

    Parameters
    ----------
    table : DataFrame
        Of :func:`companion.tables.overview`.
    rows : iterable of mapping
        Of the ledger, as :func:`companion.claims.assess` returns them: the row of a printed value
        gives a cell its status, and a cell links to its row.
    title : str
        Which table of the paper it is.
    """
    ledger = {_place(r["arguments"]): r for r in rows if r["check"] == "printed-value"}
    cells = [_cell(row, ledger[_place(row)]) for row in table.to_dict("records")]
    table = table.assign(cell=pd.Series(cells, table.index), run=[cell["run"] for cell in cells])
    inner, outer = ("metric", "backbone")
    if table["noise_ratio"].notna().any():
        inner, outer = ("noise_ratio", "metric")
    most = table.groupby("dataset")["run"].sum().max()
    places = [
        {
            "open": bool(0 < part["run"].sum() == most),
            "name": dataset,
            "run": int(part["run"].sum()),
            "count": len(part),
            "blocks": [_block(str(name), block) for name, block in part.groupby(outer, sort=False)],
        }
        for dataset, part in table.groupby("dataset", sort=False)
    ]
    names = table[inner].unique()
    heads = [f"p = {x:g}" if inner == "noise_ratio" else metric_name(x) for x in names]
    marks = {status: MARKS[status] for status in (*RUN, "not yet run")}
    caption = _finding(title, table, Counter(cell["status"] for cell in cells))
    values = {"caption": caption, "marks": marks, "places": places, "heads": heads}
    return Html(render("paper_tables.html", **values))


def _block(name: str, block: pd.DataFrame) -> dict[str, Any]:
    by_loss = block.groupby("loss", sort=False)["cell"]
    rows = [(LABELS[str(loss)], list(cells)) for loss, cells in by_loss]
    return {"name": BACKBONES.get(name, metric_name(name)), "rows": rows}


def _place(where: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(None if pd.isna(v := where.get(axis)) else v for axis in _PLACE)


def _cell(row: Mapping[Any, Any], claim: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": claim["id"],
        "status": claim["status"],
        "evidence": claim["evidence"],
        "run": claim["status"] in RUN,
        "paper": f"{row['paper']:.4f}",
        "ours": f"{row['ours']:.4f}" if row["seeds"] else "not run",
    }


def _finding(title: str, table: pd.DataFrame, found: Counter[str]) -> str:
    """Say how many values were run, how they stand, and how far from print the typical one is."""
    text = f"{title}: {sum(found[s] for s in RUN)} of {len(table)} printed values run"
    words = {"differs": "differ"}
    told = ", ".join(
        f"{found[s]} {words.get(s, s) if found[s] > 1 else s}" for s in RUN if found[s]
    )
    away = (table["ours"] / table["paper"] - 1).abs().median()
    return f"{text}; {told}; half lie within {away:.1%} of print." if told else f"{text}."
