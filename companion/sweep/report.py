"""After a sweep: one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from companion.experiments import Cell
from companion.pages import render
from companion.records import METRICS, by_time, names, of_registered_data
from companion.sweep.plan import Plan
from companion.sweep.watch import SweepProgress

__all__ = ["html"]


def html(
    title: str, plan: Plan, board: SweepProgress | None, records: Sequence[dict[str, Any]]
) -> bytes:
    """Return a page with every run of a selection: its state, metrics, and the paper's value.

    ``records`` are those of the results folder after the sweep; of one run the last counts that was
    made on the registered data.
    """
    by_id = {r["run_id"]: r for r in by_time(of_registered_data(records))}
    cells_of = [*plan.recorded, *plan.todo, *(cell for cell, _ in plan.blocked)]
    called = names({c.config.run_id: c.config.as_dict() for c in cells_of if c.config is not None})
    rows = []
    for cell, state, text in _states(plan, board):
        record = by_id.get(cell.config.run_id) if cell.config else None
        place = " ".join(str(v) for v in cell.where.values() if v is not None)
        row = {"name": called[cell.config.run_id] if cell.config else place, "state": state}
        row |= {
            "text": text,
            "printed": cell.printed,
            "metrics": record["metrics"] if record else {},
        }
        rows.append(row | {"minutes": record["seconds"] / 60 if record else None})
    return render("sweep.html", title=title, rows=rows, metrics=METRICS).encode()


def _states(plan: Plan, board: SweepProgress | None) -> list[tuple[Cell, str, str]]:
    out = [(cell, "recorded before", "") for cell in plan.recorded]
    for cell in plan.todo:
        assert cell.config is not None
        state = board.states[cell.config.run_id] if board else None
        out.append((cell, state.state if state else "to run", state.text if state else ""))
    return out + [(cell, "not runnable here", reason) for cell, reason in plan.blocked]
