"""Each baseline by its name, fitted with the settings that are best on validation pairs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from companion.baselines.ials import ials
from companion.baselines.linear import ease, item_knn, popular
from companion.serving import Score, measure_scores
from psl.errors import look_up
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.streams import numpy_stream

__all__ = ["FLOORS", "Floor", "FloorTrial", "fit_floor", "try_floor"]


@dataclass(frozen=True)
class FloorSpec:
    """How a baseline is fitted, and which settings are tried."""

    fit: Callable[..., Score]
    grid: dict[str, tuple[float, ...]] = field(default_factory=dict)


FLOORS = {
    "popular": FloorSpec(popular),
    "item-knn": FloorSpec(item_knn, {"neighbours": (20, 100, 500)}),
    "ease": FloorSpec(ease, {"ridge": (10.0, 100.0, 1000.0)}),
    "ials": FloorSpec(ials, {"ridge": (0.1, 1.0, 10.0), "confidence": (3.0, 10.0, 30.0)}),
}


@dataclass(frozen=True)
class Floor:
    """A fitted baseline.

    Attributes
    ----------
    name : str
    settings : dict
        What was chosen on the validation pairs.
    score : callable
        Users (B,) to the scores of all items (B, I).
    """

    name: str
    settings: dict[str, Any]
    score: Score


@dataclass(frozen=True)
class FloorTrial:
    """A baseline at one of its settings.

    Attributes
    ----------
    settings : dict
    score : float
        NDCG@20 on the pairs that were set aside.
    seconds : float
        Of fitting and ranking.
    """

    settings: dict[str, float]
    score: float
    seconds: float


def fit_floor(name: str, train: Interactions) -> Floor:
    """Fit a baseline on all pairs, with the settings of the best NDCG@20 on a tenth of them.

    Raises
    ------
    UnknownNameError, DataError
        For another name; where the baseline cannot be fitted, or nothing can be set aside.
    """
    spec, best = look_up("floor", name, FLOORS), dict[str, Any]()
    if spec.grid:
        kept, held = holdout(train, 0.1, numpy_stream(0, "floor"))
        best = max(try_floor(name, kept, held), key=lambda tried: tried.score).settings
    return Floor(name, best, spec.fit(train, **best))


def try_floor(
    name: str,
    kept: Interactions,
    held: Interactions,
    spent: Callable[[int], bool] = lambda _: False,
) -> Iterator[FloorTrial]:
    """Fit a baseline with its settings, one after another, and measure each on pairs set aside.

    Parameters
    ----------
    name : str
    kept : Interactions
        What is fitted, and left out of the lists.
    held : Interactions
        What is to be found.
    spent : callable
        Told how many settings were tried; none is begun where it returns true.  Not given: all.

    Raises
    ------
    UnknownNameError, DataError
        For another name; where the baseline cannot be fitted.
    """
    spec = look_up("floor", name, FLOORS)
    for number, point in enumerate(itertools.product(*spec.grid.values())):
        if spent(number):
            return
        started = time.perf_counter()
        settings = dict(zip(spec.grid, point, strict=True))
        score = measure_scores(spec.fit(kept, **settings), held, kept).means()["ndcg@20"]
        yield FloorTrial(settings, score, time.perf_counter() - started)
