"""Many runs: in this process, in processes beside it, or on a Ray cluster."""

from psl.sweep.driver import ENGINES, execute
from psl.sweep.estimate import Estimate
from psl.sweep.jobs import Event, Job, Settings
from psl.sweep.plan import Plan, make_plan
from psl.sweep.report import html
from psl.sweep.watch import Board, State

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
