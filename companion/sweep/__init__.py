"""Many runs: in this process, in processes beside it, or on a Ray cluster."""

from companion.sweep.driver import ENGINES, execute
from companion.sweep.estimate import Estimate
from companion.sweep.jobs import Event, Job, Settings
from companion.sweep.plan import Plan, make_plan
from companion.sweep.report import html
from companion.sweep.watch import Board, State

__all__ = [
    "ENGINES",
    "Board",
    "Estimate",
    "Event",
    "Job",
    "Plan",
    "Settings",
    "State",
    "execute",
    "html",
    "make_plan",
]
