"""What a check looks at, what it answers, and the registry of checks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from companion import dynamics, records, reference
from companion import theory as ranking
from psl import dro
from psl.activations import ACTIVATIONS
from psl.evaluation import metrics_from_hits
from psl.losses import bpr_loss, pairwise_softmax_loss
from psl.models.matrix_factorization import MatrixFactorization
from psl.training import RunConfig

__all__ = [
    "CHECKS",
    "OTHER_DATA",
    "STATUSES",
    "Subject",
    "Verdict",
    "check",
    "decide",
    "tight_users",
    "users",
]

OTHER_DATA = "a record was made with other data than the registered"

STATUSES = (
    "verified",
    "reproduced",
    "within noise",
    "cannot tell",
    "differs",
    "not yet run",
)


@dataclass(frozen=True)
class Subject:
    """The module's functions, the run records and the paper's tables; a mutant replaces one."""

    log_sigma: dict[str, Callable[[Tensor], Tensor]]
    loss: Callable[..., Tensor]
    bpr: Callable[..., Tensor]
    ranks: Callable[[Tensor, Tensor], Tensor]
    dcg: Callable[[Tensor], Tensor]
    mrr: Callable[[Tensor], Tensor]
    temperature: Callable[..., Tensor]
    backbone: Callable[..., Any]
    metrics: Callable[..., dict[str, Tensor]]
    records: list[dict[str, Any]]
    table: Callable[[str], Any]
    traces: list[dynamics.Trace] = field(default_factory=list)

    @cached_property
    def cells(self) -> dict[str, dict[int, dict[str, Any]]]:
        """The runs of each cell by seed; of one seed on several devices the last made counts."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for record in records.by_time(self.records):
            config = record["config"]
            found.setdefault(_cell_key(config), {})[config["seed"]] = record
        return found

    @cached_property
    def memo(self) -> dict[str, Any]:
        """What checks keep of one another's work; a changed subject begins anew."""
        return {}

    def runs(self, config: RunConfig) -> dict[int, dict[str, Any]]:
        """Return the runs that differ from ``config`` in nothing but the seed, by seed."""
        return dict(sorted(self.cells.get(_cell_key(config.as_dict()), {}).items()))

    @classmethod
    def real(cls, results: Path | None = None) -> Subject:
        """Return the module as it is, with the records of a folder (none if it has none)."""
        found = records.read(results) if results is not None else []
        return cls(
            log_sigma={name: a.log for name, a in ACTIVATIONS.items()},
            loss=pairwise_softmax_loss,
            bpr=bpr_loss,
            ranks=ranking.ranks,
            dcg=ranking.dcg,
            mrr=ranking.mrr,
            temperature=dro.temperature_for_radius,
            backbone=MatrixFactorization,
            metrics=metrics_from_hits,
            records=found,
            table=reference.table,
            traces=dynamics.read(results) if results is not None else [],
        )


def _cell_key(config: dict[str, Any]) -> str:
    return json.dumps({k: v for k, v in config.items() if k != "seed"}, sort_keys=True)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: a status and the numbers behind it.

    ``p_value`` is that of a test, not corrected for any other; None where there is none.
    ``blind`` says whether the question was written before its runs; None where that is not asked.
    """

    status: str
    evidence: str
    runs: list[str] = field(default_factory=list)
    p_value: float | None = None
    blind: bool | None = None


Check = Callable[..., Verdict]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Register a check under its name, with hyphens."""
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


def decide(holds: bool, evidence: str, status: str = "verified") -> Verdict:
    """Return ``status`` if it holds, ``differs`` if not."""
    return Verdict(status if holds else "differs", evidence)


def users(count: int = 50, items: int = 200) -> list[tuple[Tensor, Tensor]]:
    """Return random users: scores on the f = cos/2 scale and a mask of positives."""
    g = torch.Generator().manual_seed(7)
    scores = torch.rand(count, items, generator=g, dtype=torch.float64) - 0.5
    positive = torch.rand(count, items, generator=g) < 0.05
    positive[:, 0] = True
    return list(zip(scores, positive, strict=True))


def tight_users(items: int = 200) -> list[tuple[Tensor, Tensor]]:
    """Return users for whom a link of the chain is an equality, so that no slack hides a mistake.

    All scores equal, with one positive and with three: ranks, losses and Jensen's inequality meet
    at the logarithm of ``items``.  One positive a whole cosine above all others: rank 1, DCG 1.
    """
    item, equal = torch.arange(items), torch.zeros(items, dtype=torch.float64)
    first = item == 0
    return [(equal, first), (equal, item < 3), (first.double() - 0.5, first)]
