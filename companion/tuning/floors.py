"""Baselines beside a search: the same validation part, the same budget."""

from __future__ import annotations

import time
from collections.abc import Iterator

from companion.baselines import FloorTrial, try_floor
from companion.released import PaperConfig
from companion.tuning.study import Budget
from companion.tuning.trial import parts
from psl.dataset import Dataset

__all__ = ["tried_floors"]


def tried_floors(
    name: str, config: PaperConfig, data: Dataset, budget: Budget
) -> Iterator[FloorTrial]:
    """Try the settings of a baseline, as far as the budget of a loss goes.

    There are at most nine, so the budget of trials is rarely used up.  Nothing is kept in a file:
    a second call fits them again.

    Raises
    ------
    UnknownNameError, DataError
        As :func:`companion.baselines.try_floor`.
    """
    started = time.monotonic()

    def spent(number: int) -> bool:
        if budget.trials is not None:
            return number >= budget.trials
        return number > 0 and time.monotonic() - started >= (budget.seconds or 0.0)

    kept, held = parts(config, data)
    return try_floor(name, kept, held, spent)
