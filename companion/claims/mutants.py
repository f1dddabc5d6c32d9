"""Deliberate mistakes, each in sizes: a check is worth what the smallest it notices tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from companion.claims.subject import Subject
from companion.dynamics import Point

__all__ = ["LADDER", "MUTANTS", "WHOLE", "Mutant"]

# Sizes tried: 1, 0.5, 0.2, 0.1 and so on down to a hundred-millionth.
LADDER = (1.0, *(float(f"{m}e-{k}") for k in range(1, 9) for m in (5, 2, 1)))
WHOLE = (1.0,)  # a mistake that is made or not, as another test split


class Mutant(NamedTuple):
    """A mistake: the subject with it at a size, the sizes there are, what size 1 means."""

    make: Callable[[Subject, float], Subject]
    unit: str
    sizes: tuple[float, ...] = LADDER


def _shape(unit: str, **wrong: Callable[[Tensor, float], Tensor]) -> Mutant:
    """Put another function of (d, size) in the place of an activation's logarithm."""

    def make(subject: Subject, size: float) -> Subject:
        changed = {name: (lambda d, f=f: f(d, size)) for name, f in wrong.items()}
        return dataclasses.replace(subject, log_sigma={**subject.log_sigma, **changed})

    return Mutant(make, unit)


def _towards_exp(name: str) -> Mutant:
    """Blend an activation with the exponential, in the log domain."""

    def make(subject: Subject, size: float) -> Subject:
        log = subject.log_sigma[name]
        # Not 0 times minus infinity.
        blend = (lambda d: d) if size == 1 else (lambda d: (1 - size) * log(d) + size * d)
        return dataclasses.replace(subject, log_sigma={**subject.log_sigma, name: blend})

    return Mutant(make, "of the way to exp")


def _blend(
    part: str, wrong: Callable[[Subject], Callable[..., Any]], unit: str = "of the way"
) -> Mutant:
    """Move what a function of the subject returns towards what another one returns."""

    def make(subject: Subject, size: float) -> Subject:
        right, other = getattr(subject, part), wrong(subject)

        def between(*args: Any, **settings: Any) -> Any:
            a, b = right(*args, **settings), other(*args, **settings)
            if isinstance(a, dict):
                return {k: a[k] + size * (b[k] - a[k]) for k in a}
            return a + size * (b - a)

        parts: dict[str, Any] = {part: between}
        return dataclasses.replace(subject, **parts)

    return Mutant(make, unit)


def _times(part: str, sign: int = 1) -> Mutant:
    """Multiply what a function returns by ``1 + size``, or divide it."""

    def make(subject: Subject, size: float) -> Subject:
        right = getattr(subject, part)
        parts: dict[str, Any] = {part: lambda *a, **k: right(*a, **k) * (1 + size) ** sign}
        return dataclasses.replace(subject, **parts)

    return Mutant(make, "relative")


def _metrics(sign: int, loss: str = "") -> Mutant:
    """Multiply the metrics of a loss's records, or of all, by ``1 + size``, or divide them."""

    def make(subject: Subject, size: float) -> Subject:
        def changed(record: dict[str, Any]) -> dict[str, Any]:
            if loss not in ("", record["config"]["loss"]):
                return record
            scaled = {k: v * (1 + size) ** sign for k, v in record["metrics"].items()}
            return {**record, "metrics": scaled}

        return dataclasses.replace(subject, records=[changed(r) for r in subject.records])

    return Mutant(make, "relative")


def _heavier(loss: str) -> Mutant:
    """Multiply the part of a loss's weight that is on false negatives by ``1 + size``."""

    def make(subject: Subject, size: float) -> Subject:
        def changed(point: Point, of: str) -> Point:
            share = {
                kind: {name: v * (1 + size * (name == of == loss)) for name, v in found.items()}
                for kind, found in point.share.items()
            }
            return point.model_copy(update={"share": share})

        return _points(subject, changed)

    return Mutant(make, "relative")


def _far_is_good(subject: Subject, size: float) -> Subject:
    """Add ``size`` times the distance from the metric, in nats, to NDCG@20."""

    def changed(point: Point, _: str) -> Point:
        ndcg = point.metrics["ndcg@20"] + size * point.distance
        return point.model_copy(update={"metrics": {**point.metrics, "ndcg@20": ndcg}})

    return _points(subject, changed)


def _points(subject: Subject, changed: Callable[[Point, str], Point]) -> Subject:
    traces = [
        t.model_copy(update={"points": [changed(p, str(t.config["loss"])) for p in t.points]})
        for t in subject.traces
    ]
    return dataclasses.replace(subject, traces=traces)


def _other_data(subject: Subject, size: float) -> Subject:
    other = [{**r, "dataset_fingerprint": "shuffled test split"} for r in subject.records]
    return dataclasses.replace(subject, records=other)


def _tables(
    change: Callable[[Any, float], Any], unit: str, sizes: tuple[float, ...] = LADDER
) -> Mutant:
    """Change every printed table."""

    def make(subject: Subject, size: float) -> Subject:
        return dataclasses.replace(subject, table=lambda name: change(subject.table(name), size))

    return Mutant(make, unit, sizes)


def _column(column: str, *sizes: float) -> Mutant:
    def change(rows: Any, size: float) -> Any:
        return rows.assign(**{column: rows[column] * (1 + size)}) if column in rows else rows

    return _tables(change, "relative", (*sizes, *LADDER))


def _values(losses: str, sign: int) -> Mutant:
    """Multiply the printed values of the losses whose names match by ``1 + size``, or divide."""

    def change(rows: Any, size: float) -> Any:
        if "value" in rows and "loss" in rows:
            rows.loc[rows["loss"].str.fullmatch(losses), "value"] *= (1 + size) ** sign
        return rows

    return _tables(change, "relative")


def _exchanged(column: str, one: str, other: str) -> Mutant:
    """Move the values of two entries of a column, as two losses, towards each other's."""
    names = {one: other, other: one}

    def change(rows: Any, size: float) -> Any:
        if column not in rows or "value" not in rows:
            return rows
        keys = [c for c in rows if c != "value"]
        there = rows[keys].assign(**{column: rows[column].replace(names)})
        partner = there.merge(rows, on=keys, how="left")["value"].to_numpy()
        step = pd.Series(partner, rows.index) - rows["value"]  # none without a partner
        return rows.assign(value=rows["value"] + size * step.fillna(0.0))

    return _tables(change, "of the way to an exchange")


def _other_table(subject: Subject, size: float) -> Subject:
    names = {"table1_iid": "table2_ood", "table2_ood": "table1_iid"}
    return dataclasses.replace(subject, table=lambda name: subject.table(names.get(name, name)))


class _Unscaled:
    """A backbone whose score is half a cosine times ``1 + size``: at 1 the whole."""

    def __init__(self, model: Any, size: float) -> None:
        self.model, self.size = model, size

    def embed(self, users: Tensor) -> tuple[Tensor, Tensor]:
        u, v = self.model.embed(users)
        return (1 + self.size) * u, v


def _whole_cosine(subject: Subject, size: float) -> Subject:
    return dataclasses.replace(
        subject, backbone=lambda *a, **k: _Unscaled(subject.backbone(*a, **k), size)
    )


def _strict_ranks(scores: Tensor, positive: Tensor) -> Tensor:
    return 1 + (scores[None, :] > scores[positive][:, None]).sum(dim=1)


def _log1p(d: Tensor) -> Tensor:
    return torch.log1p(d.clamp(min=1e-9 - 1))


MUTANTS: dict[str, Mutant] = {
    "exp-for-tanh": _towards_exp("tanh"),
    "exp-for-atan": _towards_exp("atan"),
    "exp-for-relu": _towards_exp("relu"),
    "exp-for-softplus": _towards_exp("softplus"),
    "steeper-exp": _shape("relative", exp=lambda d, s: (1 + s) * d),
    "raised-exp": _shape("nats", exp=lambda d, s: d + s),
    "lowered-exp": _shape("nats", exp=lambda d, s: d - s),
    "quadratic-exp": _shape("times d squared", exp=lambda d, s: d + s * d**2),
    "raised-tanh": _shape("added", tanh=lambda d, s: torch.log(1 + s + torch.tanh(d))),
    "raised-atan": _shape("added", atan=lambda d, s: torch.log(1 + s + torch.atan(d))),
    "raised-relu": _shape("added", relu=lambda d, s: _log1p(d + s)),
    "lowered-relu": _shape("taken off", relu=lambda d, s: _log1p(d - s)),
    "whole-cosine": Mutant(_whole_cosine, "relative"),
    "ties-for-the-positive": Mutant(
        lambda s, size: dataclasses.replace(s, ranks=_strict_ranks), "", WHOLE
    ),
    "natural-logarithm": _blend("dcg", lambda s: lambda r: (1 / torch.log1p(r.double())).sum()),
    "less-dcg": _times("dcg", -1),
    "less-mrr": _times("mrr", -1),
    "wrong-sign": _blend("bpr", lambda s: lambda p, n, **k: s.bpr(-p, -n, **k)),
    "inside-form": _blend("loss", lambda s: lambda *a, **k: s.loss(*a, form="inside", **k)),
    "larger-loss": _times("loss"),
    "without-correction": _blend("loss", lambda s: lambda p, n, tau, a, **k: s.loss(p, n, tau, a)),
    "ranks-from-zero": _blend(
        "metrics", lambda s: lambda hits, n, ks: s.metrics(hits.roll(1, dims=1), n, ks)
    ),
    "temperature-off": _times("temperature"),
    "one-temperature": _blend(
        "temperature", lambda s: lambda x, eta: torch.full(x.shape[:-1], 0.1).double()
    ),
    "more-users": _column("users"),
    "hotter": _column("tau", 10.0, 5.0, 2.0),
    "psl-lower": _values("psl-.*", -1),
    "baselines-up": _values("advinfonce|bsl|llpauc", 1),
    "psl-and-sl-exchanged": _exchanged("loss", "sl", "psl-relu"),
    "recall-for-ndcg": _exchanged("metric", "ndcg@20", "recall@20"),
    "forms-exchanged": _exchanged("form", "outside", "inside"),
    "iid-and-ood-exchanged": Mutant(_other_table, "", WHOLE),
    "metrics-lower": _metrics(-1),
    "softmax-better": _metrics(1, "sl"),
    "heavier-on-false-negatives": _heavier("psl-relu"),
    "far-from-the-metric-is-good": Mutant(_far_is_good, "NDCG for each nat"),
    "shuffled-test-split": Mutant(_other_data, "", WHOLE),
}
