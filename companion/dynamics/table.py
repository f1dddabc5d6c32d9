"""Measured runs as tables, for figures and for the book; a column ``measured`` has their ids."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from companion.dynamics.store import Trace

__all__ = ["by_popularity", "own_shares", "points", "shares"]

_ABOUT = ("dataset", "setting", "noise_ratio", "loss", "tau", "seed")


def points(traces: Iterable[Trace]) -> pd.DataFrame:
    """Return a row for each run and epoch: its test metrics, and its distance from -log DCG."""
    return pd.DataFrame(
        [
            {**_about(t), "epoch": p.epoch, **p.metrics, "distance": p.distance}
            for t in traces
            for p in t.points
        ]
    )


def shares(traces: Iterable[Trace]) -> pd.DataFrame:
    """Return a row for each run, epoch, kind of false negative and loss that weighs the model.

    ``loss`` trained the model and ``weighed by`` looks at it; ``share`` is the part of its weight
    on false negatives, ``drawn`` the part of the draws.
    """
    return pd.DataFrame(
        [
            {
                **_about(t),
                "epoch": p.epoch,
                "kind": kind,
                "weighed by": loss,
                "share": share,
                "drawn": p.drawn[kind],
            }
            for t in traces
            for p in t.points
            for kind, found in p.share.items()
            for loss, share in found.items()
        ]
    )


def own_shares(traces: Iterable[Trace], kind: str, **where: object) -> pd.DataFrame:
    """Return the part of its weight that each loss puts on false negatives where it trained.

    ``where`` keeps runs by their configuration, as ``setting="iid"`` or ``seed=[1, 2]``.  A row a
    seed, a column a loss, the mean over the epochs; NaN where a loss has no run of a seed.
    """
    rows = shares(traces)
    for key, wanted in where.items():
        rows = rows[rows[key].isin(wanted if isinstance(wanted, (list, tuple)) else [wanted])]
    rows = rows[(rows["kind"] == kind) & (rows["weighed by"] == rows["loss"])]
    return rows.groupby(["seed", "loss"])["share"].mean().unstack("loss")


def by_popularity(traces: Iterable[Trace]) -> pd.DataFrame:
    """Return a row for each run, epoch and tenth of the items, the least popular first.

    ``recall`` is of the tenth's test pairs, ``row weight`` of its positives in training.
    """
    return pd.DataFrame(
        [
            {**_about(t), "epoch": p.epoch, "tenth": n, "recall": recall, "row weight": weight}
            for t in traces
            for p in t.points
            for n, (recall, weight) in enumerate(zip(p.recall, p.row_weight, strict=True), start=1)
        ]
    )


def _about(trace: Trace) -> dict[str, object]:
    about = {key: trace.config[key] for key in _ABOUT if key in trace.config}
    return {**about, "measured": trace.run_id}
