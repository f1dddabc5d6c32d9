"""Checks on printed numbers: tables, hyperparameters, values and orderings from run records."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion.claims.subject import Subject, Verdict, check, decide
from companion.experiments import cell, cell_command, cell_runs
from companion.records import by_time, of_registered_data
from companion.reference import borrowed
from companion.statistics import paired_difference, pooled_spread, prediction_half_width
from psl.training import RunConfig

__all__: list[str] = []

ENOUGH = 4  # degrees of freedom; with fewer, Student's interval is wider than 5 % of most values
# SL's curve on this dataset chose how the paper's words on noise are read (chapter 10).
READ_BY = ("amazon-electronic", "noise", "sl")
OTHER_DATA = "a record was made with other data than the registered"


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
    """Look for a temperature among the tuned ones of Tables B.2 and B.3."""
    found = _tuned(subject)
    nearest = min(found, key=lambda t: abs(t - tau))
    among = "is one of the tuned" if tau in found else f"is not tuned; the nearest is {nearest}"
    halved = f"as a temperature of the whole cosine it is {tau / 2} here, tuned in "
    halved += f"{found.count(tau / 2)} of {len(found)} rows"
    return decide(tau in found, f"{tau} {among}; {halved}")


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
    of its last digit.  How far seeds move a run is estimated from every configuration of the same
    dataset, setting, backbone and noise that has several.  They share their seeds, so as degrees of
    freedom the different seeds count, less one; below ``ENOUGH`` of them ``tolerance`` stands in.
    A value beyond it that those few seeds would allow is within noise; it does not differ.
    """
    config = cell(setting=setting, dataset=dataset, **where)
    runs = list(cell_runs(subject.records, config).values())
    if not runs:
        return Verdict("not yet run", cell_command(config))
    ids = [r["run_id"] for r in runs]
    if len(of_registered_data(runs)) < len(runs):
        return Verdict("differs", OTHER_DATA, ids)
    ours = [r["metrics"][metric] for r in runs]
    mean = float(np.mean(ours))
    groups = _seeds(subject, config, metric)
    spread, _ = pooled_spread([list(group.values()) for group in groups])
    freedom = len({seed for group in groups if len(group) > 1 for seed in group}) - 1
    width, basis = tolerance * paper, f"fewer than {ENOUGH + 1} seeds"
    by_seeds = 0.0
    if freedom > 0:
        by_seeds = prediction_half_width(spread * mean, freedom, len(ours)) + rounding
    if freedom >= ENOUGH:
        width, basis = by_seeds, f"seeds, {freedom} degrees of freedom"
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
    """Return a metric by seed for every recorded configuration of one place in the grid.

    Two that give the same values are one: BSL is SL where their step sizes agree.
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
    return [dict(group) for group in {tuple(sorted(g.items())) for g in groups.values()}]


@check
def better_than(
    subject: Subject,
    metric: str,
    better: str,
    worse: str,
    seeds: int,
    questions: int,
    seen: str = "",
    command: str = "",
    **where: Any,
) -> Verdict:
    """Compare two losses seed by seed; fewer than ``seeds`` pairs decide nothing, nor do more.

    A paired t-test at 5 %, divided by the number of ``questions`` asked of the same runs.  The
    number of seeds was fixed before: whoever looks again after every seed finds something at last.
    ``seen`` says what of the runs was known when the question was asked, ``command`` makes them.
    A record of other data than the registered turns the row red.
    """
    by_loss = {
        loss: cell_runs(subject.records, cell(loss=loss, **where)) for loss in (better, worse)
    }
    every = [run for runs in by_loss.values() for run in runs.values()]
    if len(of_registered_data(every)) < len(every):
        return Verdict("differs", OTHER_DATA, [run["run_id"] for run in every])
    shared = sorted(by_loss[better].keys() & by_loss[worse].keys())[:seeds]
    values = {
        loss: [by_loss[loss][s]["metrics"][metric] for s in shared] for loss in (better, worse)
    }
    ids = [by_loss[loss][s]["run_id"] for loss in (better, worse) for s in shared]
    if len(shared) < seeds:
        evidence = f"{len(shared)} of {seeds} paired seeds recorded"
        if shared:
            gap = paired_difference(values[better], values[worse])
            evidence += f"; gap so far {gap.mean:+.4f} ({gap.relative:+.1%})"
        evidence += f"; {command}" if command else ""
        return Verdict("not yet run", evidence, ids)
    gap = paired_difference(values[better], values[worse], level=1 - 0.05 / questions)
    corrected = min(1.0, questions * gap.p_value)
    evidence = (
        f"paired gap {gap.mean:+.4f} ({gap.relative:+.1%}), corrected for {questions} questions "
        f"from {gap.low:+.4f} to {gap.high:+.4f}, p {corrected:.3f}, {gap.count} seeds"
    ) + (f"; {seen}" if seen else "")
    if corrected >= 0.05:
        return Verdict("within noise", evidence, ids, gap.p_value)
    return Verdict("reproduced" if gap.mean > 0 else "differs", evidence, ids, gap.p_value)
