"""Each baseline by its name, fitted with the settings that are best on validation pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from companion.baselines.ials import ials
from companion.baselines.linear import ease, item_knn, popular
from companion.serving import Score, measure_scores
from psl.errors import UnknownNameError
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.streams import numpy_stream

__all__ = ["FLOORS", "Floor", "fit_floor"]


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


def fit_floor(name: str, train: Interactions) -> Floor:
    """Fit a baseline on all pairs, with the settings of the best NDCG@20 on a tenth of them.

    Raises
    ------
    UnknownNameError, DataError
        For another name; where the baseline cannot be fitted, or nothing can be set aside.
    """
    if name not in FLOORS:
        raise UnknownNameError("floor", name, FLOORS)
    spec = FLOORS[name]
    grid = [
        dict(zip(spec.grid, point, strict=True)) for point in itertools.product(*spec.grid.values())
    ]
    best = grid[0]
    if len(grid) > 1:
        kept, held = holdout(train, 0.1, numpy_stream(0, "floor"))

        def quality(settings: dict[str, Any]) -> float:
            return measure_scores(spec.fit(kept, **settings), held, kept).means()["ndcg@20"]

        best = max(grid, key=quality)
    return Floor(name, best, spec.fit(train, **best))
