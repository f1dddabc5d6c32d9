"""Checks on printed numbers: tables, hyperparameters, values and orderings from run records."""

from __future__ import annotations

import numpy as np

from psl.claims.subject import Subject, Verdict, check, decide
from psl.datasets import DATASETS
from psl.experiments import cell, cell_command, cell_runs

__all__: list[str] = []


@check
def density(subject: Subject, tolerance: float) -> Verdict:
    """Recompute the density column of Table B.1 from its counts."""
    rows = subject.table("table_b1_datasets")
    exact = rows["interactions"] / (rows["users"] * rows["items"])
    error = float((exact - rows["density"]).abs().max())
    return decide(error <= tolerance, f"largest difference {error:.1e}, {len(rows)} datasets")


@check
def tuned_temperatures(subject: Subject, below: float) -> Verdict:
    """Read the temperatures of SL and PSL in Tables B.2 and B.3."""
    found: list[float] = []
    for name in ("table_b2_hyperparameters_iid", "table_b3_hyperparameters_ood"):
        rows = subject.table(name)
        found += rows[rows["loss"].str.match("sl|psl")]["tau"].tolist()
    share = float(np.mean(np.array(found) < below))
    evidence = f"{share:.0%} of {len(found)}, from {min(found)} to {max(found)}"
    return decide(share > 0.5, evidence, "reproduced")


@check
def temperature_is_tuned(subject: Subject, tau: float) -> Verdict:
    """Look for a temperature among the tuned ones of Tables B.2 and B.3."""
    found: set[float] = set()
    for name in ("table_b2_hyperparameters_iid", "table_b3_hyperparameters_ood"):
        rows = subject.table(name)
        found |= set(rows[rows["loss"].str.match("sl|psl")]["tau"])
    nearest = min(found, key=lambda t: abs(t - tau))
    return decide(
        tau in found, f"no tuned temperature is {tau}; the nearest is {nearest}", "reproduced"
    )


@check
def table_value(
    subject: Subject, table: str, metric: str, tolerance: float, **where: str
) -> Verdict:
    """Compare the mean over recorded seeds with the printed value."""
    setting = "ood" if "ood" in table else "iid"
    source = DATASETS[where["dataset"], setting]
    if not source.available:
        return Verdict("not computable here", "the dataset is not in the public repository")
    config = cell(setting=setting, **where)
    runs = list(cell_runs(subject.records, config).values())
    if not runs:
        return Verdict("not yet run", cell_command(config))
    ids = [r["run_id"] for r in runs]
    if any(r["dataset_fingerprint"] != source.fingerprint for r in runs):
        return Verdict("differs", "a record was made with other data than the registered", ids)
    rows = subject.table(table)
    for column, entry in {**where, "metric": metric}.items():
        rows = rows[rows[column] == entry]
    paper, ours = float(rows["value"].iloc[0]), [r["metrics"][metric] for r in runs]
    mean = float(np.mean(ours))
    evidence = f"{mean:.4f} over {len(ours)} seed(s), paper {paper:.4f} ({mean / paper - 1:+.1%})"
    status = "reproduced" if abs(mean / paper - 1) <= tolerance else "differs"
    return Verdict(status, evidence, ids)


@check
def better_than(
    subject: Subject, metric: str, better: str, worse: str, seeds: int, **where: str
) -> Verdict:
    """Compare two losses seed by seed; fewer than ``seeds`` pairs decide nothing."""
    by_loss = {
        loss: cell_runs(subject.records, cell(loss=loss, **where)) for loss in (better, worse)
    }
    shared = sorted(by_loss[better].keys() & by_loss[worse].keys())
    gaps = np.array(
        [
            by_loss[better][s]["metrics"][metric] - by_loss[worse][s]["metrics"][metric]
            for s in shared
        ]
    )
    ids = [by_loss[loss][s]["run_id"] for loss in (better, worse) for s in shared]
    if len(shared) < seeds:
        seen = f"; gap so far {gaps.mean():+.4f}" if len(shared) else ""
        return Verdict("not yet run", f"{len(shared)} of {seeds} paired seeds recorded{seen}", ids)
    error = float(gaps.std(ddof=1) / np.sqrt(len(gaps)))
    evidence = f"paired gap {gaps.mean():+.4f}, standard error {error:.4f}, {len(gaps)} seeds"
    if abs(gaps.mean()) <= 2 * error:
        return Verdict("within noise", evidence, ids)
    return Verdict("reproduced" if gaps.mean() > 0 else "differs", evidence, ids)
