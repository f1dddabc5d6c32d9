"""Checks on printed numbers: tables, hyperparameters, and values from run records."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion.claims.subject import OTHER_DATA, Subject, Verdict, check, decide
from companion.experiments import cell, cell_command
from companion.records import by_time, of_registered_data
from companion.reference import TAUS, borrowed
from companion.statistics import prediction_half_width, robust_spread
from psl.training import RunConfig

__all__: list[str] = []

ENOUGH = 4  # degrees of freedom; with fewer, Student's interval is wider than 5 % of most values
OUTLIER = 8.0  # standard deviations from its cell's median: twice the farthest of the first 154
# SL's curve on this dataset chose how the paper's words on noise are read (chapter 7).
READ_BY = ("amazon-electronic", "noise", "sl")


@check
def density(subject: Subject, tolerance: float) -> Verdict:
    """Recompute the density column of Table B.1 from its counts."""
    rows = subject.table("table_b1_datasets")
    exact = rows["interactions"] / (rows["users"] * rows["items"])
    error = float((exact - rows["density"]).abs().max())
    return decide(error <= tolerance, f"largest difference {error:.1e}, {len(rows)} datasets")


def _tuned(subject: Subject) -> list[float]:
    """Return the temperatures of SL and PSL in Tables B.2 and B.3."""
    found: list[float] = []
    for name in ("table_b2_hyperparameters_iid", "table_b3_hyperparameters_ood"):
        rows = subject.table(name)
        found += rows[rows["loss"].str.match("sl|psl")]["tau"].tolist()
    return found


@check
def tuned_temperatures(subject: Subject, below: float) -> Verdict:
    """Read the temperatures of SL and PSL in Tables B.2 and B.3."""
    found = _tuned(subject)
    share = float(np.mean(np.array(found) < below))
    evidence = f"{share:.0%} of {len(found)}, from {min(found)} to {max(found)}"
    return decide(share > 0.5, evidence)


@check
def temperature_is_tuned(subject: Subject, tau: float) -> Verdict:
    """Count how often Tables B.2 and B.3 have the nearest temperature of the search grid."""
    found, nearest = _tuned(subject), min(TAUS, key=lambda t: abs(t - tau))
    often = f"the grid's nearest, {nearest:g}, is tuned in {found.count(nearest)} of {len(found)}"
    halved = f"as a temperature of the whole cosine it is {tau / 2} here, tuned in "
    halved += f"{found.count(tau / 2)}"
    return decide(nearest in found, f"{often} rows; {halved}")


@check
def printed_value(
    subject: Subject,
    metric: str,
    paper: float,
    tolerance: float,
    rounding: float,
    setting: str,
    dataset: str,
    **where: Any,
) -> Verdict:
    """Compare the mean over recorded seeds with the printed value.

    How many runs stand behind a printed value is not said; it is taken for one.  It is expected
    within the interval in which one more run of ours would fall, 95 times of 100, and half a unit
    of its last digit.  How far seeds move a run is estimated from the *other* configurations of the
    same dataset, setting, backbone and noise that have several, by their median: no wrong record
    widens the tolerance that should catch it.  Only where there is no other its own seeds stand in.
    They share their seeds, so as degrees of freedom the different seeds count, less one; below
    ``ENOUGH`` of them ``tolerance`` stands in.  A value beyond it that those few seeds would allow
    is within noise; it does not differ.  A run far from the others of its cell is an alarm.
    """
    config = cell(setting=setting, dataset=dataset, **where)
    runs = list(subject.runs(config).values())
    if not runs:
        return Verdict("not yet run", cell_command(config))
    ids = [r["run_id"] for r in runs]
    if len(of_registered_data(runs)) < len(runs):
        return Verdict("differs", OTHER_DATA, ids)
    ours = [r["metrics"][metric] for r in runs]
    mean = float(np.mean(ours))
    groups = _seeds(subject, config, metric)
    spread = robust_spread([list(group.values()) for group in groups])
    freedom = len({seed for group in groups if len(group) > 1 for seed in group}) - 1
    width, basis = tolerance * paper, f"its other losses have fewer than {ENOUGH + 1} seeds"
    by_seeds = 0.0
    if freedom > 0:
        by_seeds = prediction_half_width(spread * mean, freedom, len(ours)) + rounding
    if freedom >= ENOUGH:
        width, basis = by_seeds, f"seeds, {freedom} degrees of freedom"
    far = OUTLIER * spread * float(np.median(ours))
    odd = [r for r, x in zip(runs, ours, strict=True) if abs(x - np.median(ours)) > far]
    if freedom > 0 and len(ours) > 2 and odd:
        which = ", ".join(r["run_id"] for r in odd)
        return Verdict("differs", f"run {which} lies far from the other seeds of its cell", ids)
    seeds = f"{len(ours)} seed{'s' if len(ours) > 1 else ''}"
    evidence = (
        f"{mean:.4f} over {seeds}, paper {paper:.4f} ({mean / paper - 1:+.1%}), "
        f"allowed {width / paper:.1%} ({basis})"
    )
    if lent := borrowed(dataset, setting, config.backbone, config.loss, config.form):
        evidence += f"; with the hyperparameters {lent}, its own are not printed"
    if (dataset, setting, config.loss) == READ_BY:
        evidence += "; it helped to choose how the setting is read, so it is no test of that"
    if abs(mean - paper) <= width:
        return Verdict("reproduced", evidence, ids)
    if abs(mean - paper) <= by_seeds:
        evidence += f"; the few seeds there are would allow {by_seeds / paper:.1%}"
        return Verdict("within noise", evidence, ids)
    return Verdict("differs", evidence, ids)


def _seeds(subject: Subject, config: RunConfig, metric: str) -> list[dict[int, float]]:
    """Return a metric by seed for every other recorded configuration of one place in the grid.

    Two that give the same values are one: BSL is SL where their step sizes agree.  Where there is
    no other with several seeds, the configuration itself stands in.
    """
    place = ["dataset", "setting", "backbone", "protocol", "epochs"]
    place += ["noise_ratio", "drop_marked", "mark_per_user"]  # the more noise, the more a seed does
    here = config.as_dict()
    groups: dict[str, dict[int, float]] = {}
    for record in by_time(of_registered_data(subject.records)):
        found = record["config"]
        if all(found.get(k) == here.get(k) for k in place):
            key = repr(sorted((k, v) for k, v in found.items() if k != "seed"))
            groups.setdefault(key, {})[found["seed"]] = record["metrics"][metric]
    own = groups.pop(repr(sorted((k, v) for k, v in here.items() if k != "seed")), {})
    others = [dict(group) for group in {tuple(sorted(g.items())) for g in groups.values()}]
    others = [group for group in others if len(group) > 1 and group != own]
    return others or [own]
