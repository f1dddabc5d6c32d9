"""How many seeds until a gain is found, with the spread between seeds that was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup
from scipy import stats

from companion.figures.statuses import Html
from companion.figures.style import colour_of
from companion.figures.tabular import tabular
from companion.pages import render
from companion.statistics import power, seeds_needed

__all__ = ["GAINS", "WANTED", "gain_spread", "seeds_explorer"]

GAINS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20)  # percent
COUNTS = (*range(2, 11), 12, 15, 20, 30, 50, 100)
WANTED = 0.8
_MARKS = (0.5, 1, 2, 5, 10, 20)


def gain_spread(low: float, high: float, seeds: int) -> float:
    """Return the standard deviation of paired gains from the 95 % interval of their mean."""
    return (high - low) / 2 / float(stats.t.ppf(0.975, seeds - 1)) * math.sqrt(seeds)


def seeds_explorer(
    table: pd.DataFrame,
    *,
    start: tuple[str, float] = ("Electronic", 2),
    questions: Sequence[int] = (1, 6),
) -> Html:
    """Return how often the paired t-test finds a gain, by place, gain and number of seeds.

    Parameters
    ----------
    table : DataFrame
        Of :func:`companion.tables.gains_everywhere`, of one loss; a place counts from three seeds.
    start : (str, float)
        Place and gain in percent at first sight; a table of the place stands without JavaScript.
    questions : sequence of int
        For how many questions the test may be corrected.
    """
    some = table[table["seeds"].isin(COUNTS[1:])]
    places = {str(row.label): _place(row, questions) for row in some.itertuples()}
    where, gain = start
    last = len(questions) - 1
    still = tabular(
        pd.DataFrame({"gain": [g / 100 for g in GAINS], "seeds": places[where]["needed"][last]}),
        f"{where}: seeds that find a gain in four cases of five, of {questions[last]} questions",
        {"gain": ".2%", "seeds": ".0f"},
        keys=0,
    )
    data = {
        "places": list(places.values()),
        "gains": GAINS,
        "counts": COUNTS,
        "marks": _MARKS,
        "wanted": WANTED,
        "colour": colour_of(table["loss"].iloc[0]),
    }
    asked = [f"{count} question{'s' * (count > 1)}" for count in questions]
    at = {"step": GAINS.index(gain), "questions": dict(enumerate(asked)), "question": last}
    names = list(places)
    at |= {"places": dict(enumerate(names)), "start": names.index(where)}
    return Html(render("seeds.html", data=data, table=Markup(still.html()), **at))


def _place(row: Any, questions: Sequence[int]) -> dict[str, Any]:
    spread = gain_spread(row.low, row.high, row.seeds)
    found, needed = [], []
    for count in questions:
        asked, level = [(gain / 100, spread) for gain in GAINS], 0.05 / count
        found.append([[round(power(*a, n, level), 4) for n in COUNTS] for a in asked])
        needed.append([seeds_needed(*a, level, WANTED) for a in asked])
    named = {"label": row.label, "seeds": row.seeds, "spread": round(spread, 6)}
    return named | {"found": found, "needed": needed}
