"""After a sweep: one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from companion.pages import render
from companion.records import METRICS, by_time, names, of_registered_data
from companion.sweep.compared import SideBySide
from companion.sweep.plan import Plan
from companion.sweep.watch import SweepProgress

__all__ = ["html"]


def html(
    title: str,
    plan: Plan,
    board: SweepProgress | None,
    records: Sequence[dict[str, Any]],
    models: Sequence[SideBySide] = (),
    metric: str = "",
    figures: Sequence[str] = (),
) -> bytes:
    """Return a page with every run of a selection: its state, metrics, and the paper's value.

    ``records`` are those of the results folder after the sweep; of one run the last counts that was
    made on the registered data.  ``models`` are compared by ``metric`` above the runs, each table
    with its one of ``figures``, as SVG or empty.
    """
    by_id = {r["run_id"]: r for r in by_time(of_registered_data(records))}
    states = plan.states()
    called = names({c.config.run_id: c.config.as_dict() for c, *_ in states if c.config})
    rows = []
    for cell, state, text in states:
        if board and cell.config and (ran := board.states.get(cell.config.run_id)):
            state, text = ran.state, ran.text
        record = by_id.get(cell.config.run_id) if cell.config else None
        place = " ".join(str(v) for v in cell.where.values() if v is not None)
        rows.append(
            {
                "name": called[cell.config.run_id] if cell.config else place,
                "state": state,
                "text": text,
                "printed": cell.printed,
                "metrics": record["metrics"] if record else {},
                "minutes": record["seconds"] / 60 if record else None,
            }
        )
    return render(
        "sweep.html", title=title, rows=rows, metrics=METRICS, models=models, metric=metric,
        figures=figures,
    ).encode()  # fmt: skip
