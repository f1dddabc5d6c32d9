"""What `psl run` says of a plan, and of the models once they are trained."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from companion import experiments, sweep
from companion.cli.compare import comparison_table, row_as_json, what_gain_is
from companion.cli.console import out, say
from companion.clock import duration
from psl.dataset import stored_setting

__all__ = [
    "models_as_json",
    "plan_as_json",
    "run_command_of",
    "show_models",
    "show_plan",
]


def show_plan(
    experiment: str,
    cells: list[experiments.Cell],
    plan: sweep.Plan,
    workers: int,
    *,
    each: bool,
) -> None:
    """Print the plan: counts and time, every run if asked to, and what is out of reach and why."""
    if experiment in experiments.EXPERIMENTS:
        whole, _ = experiments.count_values(experiments.cells("all"))
        paper, later = experiments.count_values(cells)
        values = f"{paper} of the {whole} values that the paper reports"
        values += f" and {later} of the follow-up" if later else ""
        say(f"{experiment}, {experiments.EXPERIMENTS[experiment][0]}")
        say(f"covers {values}, with {len(cells)} runs:")
    else:
        say(f"{experiment}, {len(cells)} runs:")
    say(f"  recorded     {len(plan.recorded):5d}")
    say(f"  to run       {len(plan.todo):5d}  {_time(plan, workers)}")
    say(f"  out of reach {len(plan.blocked):5d}")
    if each:
        say("")
        for cell, state, _ in plan.states():
            say(f"{state:12}  {_estimate(cell, plan):>8}  {run_command_of(cell)}")
    if plan.blocked:
        say("")
    reasons: dict[tuple[str, str], int] = {}
    for cell, reason in plan.blocked:
        stored = f"{cell.where['dataset']} ({stored_setting(cell.where['setting'])})"
        reasons[stored, reason] = reasons.get((stored, reason), 0) + 1
    for (stored, reason), count in reasons.items():
        say(f"out of reach: {stored}, {count} runs: {reason}")


def _time(plan: sweep.Plan, workers: int) -> str:
    """Tell the expected time and where it comes from."""
    seconds, unknown = plan.seconds()
    jobs = plan.jobs()
    if not jobs:
        return ""
    if unknown == len(jobs):
        return "for an unknown time: no record of these datasets"
    at_once = f" of computing, {duration(seconds / workers)} with {workers} workers"
    text = f"about {duration(seconds)}{at_once if workers > 1 else ''}"
    bases = [plan.estimates[job.config.run_id].basis for job in jobs]
    parts = [f"{bases.count(b)} from {b}" for b in dict.fromkeys(bases) if b.startswith("records")]
    parts += [f"{unknown} unknown and not counted"] if unknown else []
    return f"{text} ({'; '.join(parts)})"


def _estimate(cell: experiments.Cell, plan: sweep.Plan) -> str:
    seconds = plan.estimates[cell.config.run_id].seconds if cell.config else None
    return "unknown" if seconds is None else duration(seconds)


def run_command_of(cell: experiments.Cell) -> str:
    """Return the command that makes a run alone."""
    if cell.config is None:
        place = " ".join(f"{k}={v}" for k, v in cell.where.items() if v is not None)
        return f"no command: {place}"
    if cell.file is not None:
        return experiments.plain_command(replace(cell.config, dataset=str(cell.file)))
    return experiments.cell_command(cell.config)


def plan_as_json(plan: sweep.Plan) -> list[dict[str, Any]]:
    """Return the runs for a program to read."""
    return [
        {
            "run_id": cell.config.run_id if cell.config else None,
            "state": state,
            "reason": reason,
            "experiment": cell.experiment,
            "command": run_command_of(cell) if cell.config else None,
            "config": cell.config.as_dict() if cell.config else None,
            "printed": cell.printed,
            "estimate": asdict(plan.estimates[cell.config.run_id]) if cell.config else None,
        }
        for cell, state, reason in plan.states()
    ]


def show_models(found: list[sweep.SideBySide], metric: str) -> None:
    """Print a table for each dataset and setting, and which values validation chose."""
    for side in found:
        if side.models:
            rows = [model.row for model in side.models]
            out.print(comparison_table(rows, metric, side.place))
            for model in side.models:
                values = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in model.values.items())
                best = f"best of {model.points} of {model.of} points of the grid"
                score = f"validation NDCG@20 {model.validation:.4f}"
                say(f"{model.row.name}: {values or 'nothing varied'}; {score}, {best}")
            say(side.note)
            if len(rows) > 1:
                say(what_gain_is(rows))
        for name in side.missing:
            say(f"{side.place}: {name} has no point of the grid with all its seeds recorded")


def models_as_json(found: list[sweep.SideBySide]) -> list[dict[str, Any]]:
    """Return the comparisons for a program to read."""
    return [
        {
            "place": side.place,
            "models": [
                row_as_json(m.row)
                | {"values": m.values, "validation": m.validation, "points": m.points, "of": m.of}
                for m in side.models
            ],
            "missing": side.missing,
            "chosen_on_test": side.on_test,
        }
        for side in found
    ]
