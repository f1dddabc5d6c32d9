"""Cells that no table prints: what the book asks beyond the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from companion.experiments.questions import questions
from companion.reference import TAUS, table, tuned
from psl.losses import LOSSES
from psl.models.backbones import BACKBONES
from psl.training import RunConfig

__all__ = ["EXTRA_CELLS", "NEGATIVES", "SOFTMAX_LOSSES"]

Where = dict[str, Any]

# Numbers of negatives around the paper's 1000; 0 is the whole catalogue.
NEGATIVES = (10, 30, 100, 300, 1000, 0)
USUAL = RunConfig().negatives
PRINTED = ("table1_iid", "table_c4_softplus_iid", "followup_table2_slatk")
SOFTMAX_LOSSES = ("sl", "psl-tanh", "psl-atan", "psl-relu")


def _health() -> Iterator[Where]:
    """Every printed loss and backbone, and every loss of the noise figures at every ratio."""
    names: Where = {"dataset": "amazon-health", "setting": "iid"}
    printed = pd.concat([table(t) for t in PRINTED])
    losses = [loss for loss in LOSSES if loss in set(printed["loss"])]
    for backbone in (b for b in BACKBONES if b in set(printed["backbone"])):
        yield from ({**names, "backbone": backbone, "loss": loss} for loss in losses)
    figures = pd.concat([table("figure2_and_c1_c4_noise"), table("figures_c5_c8_softplus_noise")])
    names |= {"setting": "noise", "backbone": "mf"}
    for loss in figures["loss"].unique():
        for ratio in sorted(figures["noise_ratio"].unique()):
            yield {**names, "loss": loss, "noise_ratio": float(ratio)}


def _sensitivity() -> Iterator[Where]:
    """SL and the paper's three PSLs away from the tuned values, one at a time."""
    for dataset in ("amazon-health", "amazon-electronic"):
        names: Where = {"dataset": dataset, "setting": "iid", "backbone": "mf"}
        for loss in SOFTMAX_LOSSES:
            chosen = tuned(dataset, "iid", "mf", loss)["tau"]
            yield {**names, "loss": loss}
            yield from ({**names, "loss": loss, "tau": t} for t in TAUS if t != chosen)
            yield from ({**names, "loss": loss, "negatives": n} for n in NEGATIVES if n != USUAL)


def _temperatures() -> Iterator[Where]:
    """Each loss of a question that gives every loss its own temperature, at all it may choose."""
    for question in questions():
        for place in question.places if question.taus else ():
            names: Where = {"dataset": question.dataset, "backbone": "mf"}
            names |= {k: v for k, v in place.items() if k != "protocol"}
            for loss in question.losses:
                chosen = tuned(question.dataset, place["setting"], "mf", loss)["tau"]
                for tau in sorted({chosen, *question.taus}):
                    yield {**names, "loss": loss, "tau": None if tau == chosen else tau}


def _smoke() -> Iterator[Where]:
    for loss in ("bpr", "sl", "psl-relu"):
        yield {"dataset": "synthetic", "setting": "iid", "backbone": "mf", "loss": loss}


EXTRA_CELLS: dict[str, Callable[[], Iterator[Where]]] = {
    "health": _health,
    "sensitivity": _sensitivity,
    "temperatures": _temperatures,
    "smoke": _smoke,
}
