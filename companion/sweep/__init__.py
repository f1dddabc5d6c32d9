"""Many runs: in this process, in processes beside it, or on a Ray cluster."""

from companion.sweep.compared import SideBySide, compare_models
from companion.sweep.driver import ENGINES, execute
from companion.sweep.estimate import Estimate
from companion.sweep.jobs import Event, Job, Settings
from companion.sweep.plan import Plan, make_plan
from companion.sweep.report import html
from companion.sweep.watch import RunStatus, SweepProgress

__all__ = [
    "ENGINES",
    "Estimate",
    "Event",
    "Job",
    "Plan",
    "RunStatus",
    "Settings",
    "SideBySide",
    "SweepProgress",
    "compare_models",
    "execute",
    "html",
    "make_plan",
]
