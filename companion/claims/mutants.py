"""Deliberate mistakes: each turns the rows that name it red, or their checks are worth nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from companion.claims.subject import Subject

__all__ = ["MUTANTS"]


def _swap(**log_sigma: Callable[[Tensor], Tensor]) -> Callable[[Subject], Subject]:
    return lambda s: dataclasses.replace(s, log_sigma={**s.log_sigma, **log_sigma})


def _replace(**parts: Callable[[Subject], Any]) -> Callable[[Subject], Subject]:
    return lambda s: dataclasses.replace(s, **{k: make(s) for k, make in parts.items()})


def _scaled_records(subject: Subject) -> Subject:
    scaled = [
        {**r, "metrics": {k: 0.8 * v for k, v in r["metrics"].items()}} for r in subject.records
    ]
    return dataclasses.replace(subject, records=scaled)


def _twice_the_softmax(subject: Subject) -> Subject:
    better = [
        {**r, "metrics": {k: 2 * v for k, v in r["metrics"].items()}}
        if r["config"]["loss"] == "sl"
        else r
        for r in subject.records
    ]
    return dataclasses.replace(subject, records=better)


def _other_data(subject: Subject) -> Subject:
    other = [{**r, "dataset_fingerprint": "shuffled test split"} for r in subject.records]
    return dataclasses.replace(subject, records=other)


def _renamed(column: str, names: dict[str, str]) -> Callable[[Subject], Subject]:
    """Exchange entries of a column, e.g. two losses: their values change hands."""
    return _changed_table(column, lambda c: c.replace(names))


def _scaled(losses: str, factor: float) -> Callable[[Subject], Subject]:
    """Multiply the printed values of the losses whose names match."""

    def replace(subject: Subject) -> Subject:
        def table(name: str) -> Any:
            rows = subject.table(name)
            if "value" in rows and "loss" in rows:
                rows.loc[rows["loss"].str.fullmatch(losses), "value"] *= factor
            return rows

        return dataclasses.replace(subject, table=table)

    return replace


def _other_table(names: dict[str, str]) -> Callable[[Subject], Subject]:
    return lambda s: dataclasses.replace(s, table=lambda name: s.table(names.get(name, name)))


def _changed_table(column: str, change: Callable[[Any], Any]) -> Callable[[Subject], Subject]:
    def replace(subject: Subject) -> Subject:
        def table(name: str) -> Any:
            rows = subject.table(name)
            if column in rows:
                rows[column] = change(rows[column])
            return rows

        return dataclasses.replace(subject, table=table)

    return replace


class _Unscaled:
    """A backbone whose score is the whole cosine, not half of it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def embed(self, users: Tensor) -> tuple[Tensor, Tensor]:
        u, v = self.model.embed(users)
        return 2 * u, v


def _strict_ranks(scores: Tensor, positive: Tensor) -> Tensor:
    return 1 + (scores[None, :] > scores[positive][:, None]).sum(dim=1)


MUTANTS: dict[str, Callable[[Subject], Subject]] = {
    "exp-for-tanh": _swap(tanh=lambda d: d),
    "exp-for-atan": _swap(atan=lambda d: d),
    "exp-for-relu": _swap(relu=lambda d: d),
    "exp-for-softplus": _swap(softplus=lambda d: d),
    "steeper-exp": _swap(exp=lambda d: 1.01 * d),
    "raised-exp": _swap(exp=lambda d: d + 3),
    "lowered-exp": _swap(exp=lambda d: d - 1),
    "quadratic-exp": _swap(exp=lambda d: d + 0.1 * d**2),
    "raised-tanh": _swap(tanh=lambda d: torch.log(1.1 + torch.tanh(d))),
    "raised-atan": _swap(atan=lambda d: torch.log(1.1 + torch.atan(d))),
    "raised-relu": _swap(relu=lambda d: torch.log((1.1 + d).clamp(min=1e-9))),
    "lowered-relu": _swap(relu=lambda d: torch.log((0.5 + d).clamp(min=1e-9))),
    "whole-cosine": _replace(backbone=lambda s: lambda *a, **k: _Unscaled(s.backbone(*a, **k))),
    "ties-for-the-positive": _replace(ranks=lambda s: _strict_ranks),
    "natural-logarithm": _replace(dcg=lambda s: lambda r: (1 / torch.log1p(r.double())).sum()),
    "third-of-the-dcg": _replace(dcg=lambda s: lambda r: s.dcg(r) / 3),
    "third-of-the-mrr": _replace(mrr=lambda s: lambda r: s.mrr(r) / 3),
    "wrong-sign": _replace(bpr=lambda s: lambda p, n, **k: s.bpr(-p, -n, **k)),
    "inside-form": _replace(loss=lambda s: lambda *a, **k: s.loss(*a, form="inside", **k)),
    "loss-and-a-half": _replace(loss=lambda s: lambda *a, **k: 1.5 * s.loss(*a, **k)),
    "without-correction": _replace(loss=lambda s: lambda p, n, tau, a, **k: s.loss(p, n, tau, a)),
    "ranks-from-zero": _replace(
        metrics=lambda s: lambda hits, n, ks: s.metrics(hits.roll(1, dims=1), n, ks)
    ),
    "temperature-one-percent-off": _replace(
        temperature=lambda s: lambda losses, eta: 1.01 * s.temperature(losses, eta)
    ),
    "one-temperature": _replace(
        temperature=lambda s: lambda losses, eta: torch.full(losses.shape[:-1], 0.1).double()
    ),
    "more-users": _changed_table("users", lambda column: column + 1000),
    "hotter": _changed_table("tau", lambda column: column * 10),
    "psl-half-a-percent-lower": _scaled("psl-.*", 0.995),
    "baselines-up-five-percent": _scaled("advinfonce|bsl|llpauc", 1.05),
    "psl-and-sl-exchanged": _renamed("loss", {"sl": "psl-relu", "psl-relu": "sl"}),
    "recall-for-ndcg": _renamed("metric", {"ndcg@20": "recall@20", "recall@20": "ndcg@20"}),
    "forms-exchanged": _renamed("form", {"outside": "inside", "inside": "outside"}),
    "iid-and-ood-exchanged": _other_table({"table1_iid": "table2_ood", "table2_ood": "table1_iid"}),
    "metrics-at-four-fifths": _scaled_records,
    "softmax-twice-as-good": _twice_the_softmax,
    "shuffled-test-split": _other_data,
}
