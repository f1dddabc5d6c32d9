"""The ledger: each statement of the paper with a check that decides it, and a mutant of the check.

``paper/claims.yml`` holds one row a statement.  A row names a check of this file; the check looks
at a :class:`Subject`, which is the module and the run records, and returns a verdict.  A mutant is
the same subject with one deliberate mistake: it must turn the row red.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy.optimize import minimize_scalar
from torch import Tensor

from psl import dro, records, reference
from psl.activations import ACTIVATIONS
from psl.datasets import DATASETS
from psl.errors import RecordError, UnknownNameError
from psl.ranking import pairwise_differences

__all__ = ["STATUSES", "Subject", "Verdict", "assess", "kill_matrix", "load_rows"]

STATUSES = (
    "verified",
    "reproduced",
    "within noise",
    "differs",
    "not yet run",
    "not computable here",
)


@dataclass(frozen=True)
class Subject:
    """What the checks look at: the activations, the DRO solver, the records, the paper's tables."""

    log_sigma: dict[str, Callable[[Tensor], Tensor]]
    temperature: Callable[..., Tensor]
    records: list[dict[str, Any]]
    table: Callable[[str], Any]

    @classmethod
    def real(cls, results: Path | None = None) -> Subject:
        """Return the module as it is, with the records of a folder (none if it has none)."""
        try:
            found = records.read(results) if results is not None else []
        except RecordError:
            if results is not None and any(results.glob("*.jsonl")):
                raise
            found = []
        sigma = {name: a.log for name, a in ACTIVATIONS.items()}
        return cls(sigma, dro.temperature_for_radius, found, reference.table)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: a status and the numbers behind it."""

    status: str
    evidence: str
    runs: list[str] = field(default_factory=list)


Check = Callable[..., Verdict]
CHECKS: dict[str, Check] = {}
MUTANTS: dict[str, Callable[[Subject], Subject]] = {}


def _check(function: Check) -> Check:
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


def _decide(holds: bool, evidence: str, status: str = "verified") -> Verdict:
    return Verdict(status if holds else "differs", evidence)


def _users(count: int = 50, items: int = 200) -> list[tuple[Tensor, Tensor]]:
    """Return random users: scores on the f = cos/2 scale and a mask of positives."""
    g = torch.Generator().manual_seed(7)
    scores = torch.rand(count, items, generator=g, dtype=torch.float64) - 0.5
    positive = torch.rand(count, items, generator=g) < 0.05
    positive[:, 0] = True
    return list(zip(scores, positive, strict=True))


@_check
def activation_formula(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Compare with numpy's own functions, on [-1, 1]."""
    formulas: dict[str, Callable[[Any], Any]] = {
        "exp": np.exp,
        "tanh": lambda d: np.tanh(d) + 1,
        "atan": lambda d: np.arctan(d) + 1,
        "relu": lambda d: np.maximum(d + 1, 0),
        "softplus": lambda d: np.exp(d) + 1,
    }
    formula = formulas[activation]
    d = np.linspace(-1, 1, 20001)[1:]
    ours = subject.log_sigma[activation](torch.from_numpy(d)).exp().numpy()
    error = float(np.abs(ours - formula(d)).max())
    return _decide(error <= tolerance, f"largest difference {error:.1e} on 20,000 points")


@_check
def between_step_and_exp(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Step <= sigma <= exp on [-1, 1]; the proof is in the chapter, this is its numerical check."""
    d = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    log = subject.log_sigma[activation](d)
    above = float((log - d).max())
    below = float((-log[d >= 0]).max())
    worst = max(above, below)
    return _decide(worst <= tolerance, f"largest violation {max(worst, 0.0):.1e} on 20,001 points")


@_check
def above_exp(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Sigma > exp everywhere on [-1, 1]: the hypothesis of Lemma 4.1 fails."""
    d = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    margin = float((subject.log_sigma[activation](d) - d).min())
    return _decide(margin > tolerance, f"log sigma - d is at least {margin:.3f}")


@_check
def listwise_is_pairwise(subject: Subject, tolerance: float) -> Verdict:
    """Compare -log softmax of the scores with log-sum over differences, user by user."""
    worst, log, tau = 0.0, subject.log_sigma["exp"], 0.1
    for scores, positive in _users():
        listwise = -torch.log_softmax(scores / tau, dim=0)[positive].sum()
        d = pairwise_differences(scores, positive)
        pairwise = torch.logsumexp(log(d) / tau, dim=1).sum()
        worst = max(worst, float((listwise - pairwise).abs() / listwise.abs()))
    return _decide(worst <= tolerance, f"largest relative difference {worst:.1e}, 50 users")


@_check
def chain_is_ordered(subject: Subject, tolerance: float) -> Verdict:
    """Walk from -log DCG to SL for random users, three activations and five temperatures."""
    worst = -np.inf
    for scores, positive in _users():
        d = pairwise_differences(scores, positive)
        rank = (d >= 0).sum(1).double()
        ends = [
            np.log(len(rank)) - float((1 / torch.log2(1 + rank)).sum().log()),
            -float((1 / rank).mean().log()),
            float(rank.log().mean()),
        ]
        for tau in (0.005, 0.025, 0.05, 0.1, 0.25):
            sl = float(torch.logsumexp(subject.log_sigma["exp"](d) / tau, 1).mean())
            for name in ("tanh", "atan", "relu"):
                psl = float(torch.logsumexp(subject.log_sigma[name](d) / tau, 1).mean())
                links = [*ends, psl, sl]
                worst = max(worst, *(a - b for a, b in pairwise(links)))
    return _decide(worst <= tolerance, f"largest step down the chain {max(worst, 0):.1e}")


@_check
def gradient_weights(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Compare autograd with the closed weights sigma' sigma^(1/tau - 1) / tau, normalised."""
    tau = 0.1
    slope: dict[str, Callable[[Tensor], Tensor]] = {
        "exp": lambda d: torch.ones_like(d),
        "tanh": lambda d: (1 - torch.tanh(d) ** 2) / (1 + torch.tanh(d)),
        "atan": lambda d: 1 / ((1 + d**2) * (1 + torch.atan(d))),
        "relu": lambda d: 1 / (1 + d),
    }
    g = torch.Generator().manual_seed(3)
    d = (1.98 * torch.rand(200, 100, generator=g, dtype=torch.float64) - 0.99).requires_grad_()
    value = torch.logsumexp(subject.log_sigma[activation](d) / tau, 1).sum()
    (autograd,) = torch.autograd.grad(value, d)
    log = {
        "exp": d,
        "tanh": torch.log(1 + torch.tanh(d)),
        "atan": torch.log(1 + torch.atan(d)),
        "relu": torch.log(1 + d),
    }[activation]
    formula = (torch.softmax(log / tau, 1) * slope[activation](d) / tau).detach()
    error = float(((autograd - formula).abs() / formula.abs().amax(1, keepdim=True)).max())
    return _decide(error <= tolerance, f"largest relative difference {error:.1e}, 20,000 weights")


@_check
def dro_duality(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Solve the dual with scipy, compare with the worst case built from our temperature."""
    g = torch.Generator().manual_seed(11)
    worst = 0.0
    for _ in range(20):
        d = 1.9 * torch.rand(100, generator=g, dtype=torch.float64) - 0.95
        losses = subject.log_sigma[activation](d)
        eta = 0.05 + float(torch.rand(1, generator=g)) * 2
        tau = subject.temperature(losses, eta)
        q = dro.worst_case(losses, tau)
        best = minimize_scalar(
            lambda t, x=losses, e=eta: float(dro.dual_value(x, e, float(np.exp(t)))),
            bounds=(-12, 6),
            method="bounded",
            options={"xatol": 1e-9},
        )
        kl = float((q * (q * len(q)).log()).sum())
        gap = abs(float((q * losses).sum()) - best.fun) / float(losses.max() - losses.min())
        worst = max(worst, gap, abs(kl - eta))
    return _decide(worst <= tolerance, f"largest gap {worst:.1e} of the range, 20 instances")


@_check
def density(subject: Subject, tolerance: float) -> Verdict:
    """Recompute the density column of Table B.1 from its counts."""
    rows = subject.table("table_b1_datasets")
    exact = rows["interactions"] / (rows["users"] * rows["items"])
    error = float((exact - rows["density"]).abs().max())
    return _decide(error <= tolerance, f"largest difference {error:.1e}, {len(rows)} datasets")


@_check
def table_value(
    subject: Subject, table: str, metric: str, tolerance: float, **where: str
) -> Verdict:
    """Compare the mean over recorded seeds with the printed value."""
    setting = "ood" if "ood" in table else "iid"
    source = DATASETS[where["dataset"], setting]
    if not source.available:
        return Verdict("not computable here", "the dataset is not in the public repository")
    runs = records.select(
        subject.records, setting=setting, protocol="released", epochs=200, **where
    )
    if not runs:
        return Verdict(
            "not yet run",
            f"psl train --tuned --dataset {where['dataset']} "
            f"--setting {setting} --backbone {where['backbone']} --loss {where['loss']}",
        )
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


@_check
def better_than(
    subject: Subject, metric: str, better: str, worse: str, seeds: int, **where: str
) -> Verdict:
    """Compare two losses seed by seed; fewer than ``seeds`` pairs decide nothing."""
    by_loss = {
        loss: {
            r["config"]["seed"]: r
            for r in records.select(subject.records, loss=loss, epochs=200, **where)
        }
        for loss in (better, worse)
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


def _swap(**log_sigma: Callable[[Tensor], Tensor]) -> Callable[[Subject], Subject]:
    return lambda s: dataclasses.replace(s, log_sigma={**s.log_sigma, **log_sigma})


def _scaled_records(subject: Subject) -> Subject:
    scaled = [
        {**r, "metrics": {k: 0.8 * v for k, v in r["metrics"].items()}} for r in subject.records
    ]
    return dataclasses.replace(subject, records=scaled)


def _other_data(subject: Subject) -> Subject:
    other = [{**r, "dataset_fingerprint": "shuffled test split"} for r in subject.records]
    return dataclasses.replace(subject, records=other)


def _wrong_table(subject: Subject) -> Subject:
    def table(name: str) -> Any:
        rows = subject.table(name)
        rows["users"] = rows["users"] + 1000
        return rows

    return dataclasses.replace(subject, table=table)


MUTANTS.update(
    {
        "exp-for-tanh": _swap(tanh=lambda d: d),
        "exp-for-atan": _swap(atan=lambda d: d),
        "exp-for-relu": _swap(relu=lambda d: d),
        "exp-for-softplus": _swap(softplus=lambda d: d),
        "steeper-exp": _swap(exp=lambda d: 1.01 * d),
        "raised-tanh": _swap(tanh=lambda d: torch.log(1.1 + torch.tanh(d))),
        "raised-atan": _swap(atan=lambda d: torch.log(1.1 + torch.atan(d))),
        "raised-relu": _swap(relu=lambda d: torch.log((1.1 + d).clamp(min=1e-9))),
        "lowered-relu": _swap(relu=lambda d: torch.log((0.5 + d).clamp(min=1e-9))),
        "temperature-one-percent-off": lambda s: dataclasses.replace(
            s, temperature=lambda losses, eta: 1.01 * dro.temperature_for_radius(losses, eta)
        ),
        "more-users": _wrong_table,
        "metrics-at-four-fifths": _scaled_records,
        "shuffled-test-split": _other_data,
    }
)


def load_rows() -> list[dict[str, Any]]:
    """Return the rows of the ledger, in the paper's order."""
    rows: list[dict[str, Any]] = yaml.safe_load(
        (files("psl.paper") / "claims.yml").read_text(encoding="utf-8")
    )
    for row in rows:
        if row["check"] not in CHECKS:
            raise UnknownNameError("check", row["check"], CHECKS)
        if row["mutant"] not in MUTANTS:
            raise UnknownNameError("mutant", row["mutant"], MUTANTS)
    return rows


def assess(subject: Subject) -> list[dict[str, Any]]:
    """Run every check; return the rows with ``status``, ``evidence`` and ``runs``."""
    out = []
    for row in load_rows():
        verdict = CHECKS[row["check"]](subject, **row.get("arguments", {}))
        out.append({**row, **dataclasses.asdict(verdict)})
    return out


def kill_matrix(subject: Subject) -> list[dict[str, Any]]:
    """Run every check on its mutant; ``killed`` is None where there is no evidence to upset."""
    out = []
    for row in load_rows():
        check, arguments = CHECKS[row["check"]], row.get("arguments", {})
        before = check(subject, **arguments).status
        after = check(MUTANTS[row["mutant"]](subject), **arguments).status
        undecided = before in ("not yet run", "not computable here", "differs")
        killed = None if undecided else after == "differs"
        out.append(
            {
                "id": row["id"],
                "mutant": row["mutant"],
                "before": before,
                "after": after,
                "killed": killed,
            }
        )
    return out
