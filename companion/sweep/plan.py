"""Before a sweep: what is recorded, what cannot run here, what is left, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from companion.datasets import unreachable
from companion.experiments import Cell
from companion.records import of_registered_data
from companion.sweep.estimate import Estimate, estimate, num_pairs
from companion.sweep.jobs import Job

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """The cells of a selection by what is to happen to them.

    Attributes
    ----------
    recorded, todo : list of Cell
        ``todo`` is in the order of execution: the longest run first.
    blocked : list of (Cell, str)
        Cells that cannot be run here, and why.
    estimates : dict
        Run id to estimate, for all cells with a configuration.
    """

    recorded: list[Cell] = field(default_factory=list)
    todo: list[Cell] = field(default_factory=list)
    blocked: list[tuple[Cell, str]] = field(default_factory=list)
    estimates: dict[str, Estimate] = field(default_factory=dict)

    def jobs(self) -> list[Job]:
        """Return what is left to execute."""
        return [Job(c.config, c.experiment, c.file) for c in self.todo if c.config is not None]

    def states(self) -> list[tuple[Cell, str, str]]:
        """Return each cell with what is to happen to it and, where that is nothing, why."""
        return [
            *((cell, "recorded", "") for cell in self.recorded),
            *((cell, "to run", "") for cell in self.todo),
            *((cell, "out of reach", reason) for cell, reason in self.blocked),
        ]

    def seconds(self) -> tuple[float, int]:
        """Return the sum of the known estimates of what is left, and how many are not known."""
        known = [self.estimates[job.config.run_id].seconds for job in self.jobs()]
        return sum(s for s in known if s is not None), known.count(None)


def make_plan(
    cells: Sequence[Cell], records: Sequence[dict[str, Any]], *, gpu: bool = False
) -> Plan:
    """Sort cells by what is to happen to them.

    A record of other data than the registered does not count, neither as done nor for the time; and
    of how long a run takes on a GPU only records of GPUs tell, on a CPU only those of CPUs.
    """
    records = of_registered_data(records)
    there, plan = {r["run_id"] for r in records}, Plan()
    timed = [r for r in records if r["device"].startswith("cpu") != gpu]
    for cell in cells:
        if cell.config is None:
            plan.blocked.append((cell, cell.reason))
            continue
        plan.estimates[cell.config.run_id] = estimate(cell.config, timed)
        if cell.config.run_id in there:
            plan.recorded.append(cell)
        elif not cell.file and (reason := unreachable(cell.config.dataset, cell.config.setting)):
            plan.blocked.append((cell, f"no data reachable: {reason}"))
        else:
            plan.todo.append(cell)
    plan.todo.sort(key=lambda c: _length(c, plan.estimates), reverse=True)
    return plan


def _length(cell: Cell, estimates: dict[str, Estimate]) -> tuple[bool, float]:
    """Order by time; what is unknown comes first, by the size of its data."""
    assert cell.config is not None
    seconds = estimates[cell.config.run_id].seconds
    if seconds is not None:
        return False, seconds
    return True, float(num_pairs(cell.config.dataset, cell.config.setting))
