"""After a sweep: one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from companion.experiments import Cell
from companion.records import METRICS, by_time, names, of_registered_data
from companion.sweep.plan import Plan
from companion.sweep.watch import SweepProgress

__all__ = ["html"]

STYLE = """body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 70em; }
table { border-collapse: collapse; } th, td { padding: .25em .7em; border-bottom: 1px solid #ccc; }
th { text-align: left; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.failed td, tr.died td { background: #fbe3e0; color: #000; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } }"""


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
    rows, failures = [], []
    for cell, state, text in _states(plan, board):
        record = by_id.get(cell.config.run_id) if cell.config else None
        place = " ".join(str(v) for v in cell.where.values() if v is not None)
        name = called[cell.config.run_id] if cell.config else place
        cells = [_cell(name), _cell(state)]
        for metric in METRICS:
            ours = record["metrics"].get(metric) if record else None
            cells += [_number(ours), _number(cell.printed.get(metric))]
        cells.append(_number(record["seconds"] / 60 if record else None, 1))
        rows.append(f'<tr class="{escape(state.split()[0])}">{"".join(cells)}</tr>')
        if text:
            failures.append(f"<li>{escape(name)}: {escape(state)}. {escape(text)}</li>")
    heads = ["run", "state"]
    for metric in METRICS:
        heads += [metric, "printed"]
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in [*heads, "minutes"])
    notes = f"<h2>What is missing</h2><ul>{''.join(failures)}</ul>" if failures else ""
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows)
    )
    return f"{page}\n</tbody></table>{notes}</body></html>\n".encode()


def _states(plan: Plan, board: SweepProgress | None) -> list[tuple[Cell, str, str]]:
    out = [(cell, "recorded before", "") for cell in plan.recorded]
    for cell in plan.todo:
        assert cell.config is not None
        state = board.states[cell.config.run_id] if board else None
        out.append((cell, state.state if state else "to run", state.text if state else ""))
    return out + [(cell, "not runnable here", reason) for cell, reason in plan.blocked]


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(value: float | None, digits: int = 4) -> str:
    return f'<td class="number">{"" if value is None else f"{value:.{digits}f}"}</td>'
