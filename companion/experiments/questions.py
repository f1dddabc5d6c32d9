"""Questions that were written before their runs: which losses, where, on which seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

__all__ = ["Question", "only_fresh", "questions", "without_fresh"]

WORSE = "sl"


@dataclass(frozen=True)
class Question:
    """A family of comparisons with SL that are corrected for one another.

    Attributes
    ----------
    family : str
    asked : datetime
        When it was written; its file is in the repository's history from then on.
    why : str
    section, chapter : str
        Of the paper and of the book.
    dataset : str
    places : tuple of dict
        Fields of :func:`~companion.experiments.cell`: setting, and noise ratio, protocol or
        backbone (else MF).
    better : tuple of str
        Losses that are asked to rank above SL.
    seeds : tuple of int
        Those that decide.
    taus : tuple of float
        Temperatures each loss may choose from; empty: the tuned one.
    choose_on : tuple of int
        The seeds whose validation chooses, none of them among ``seeds``.
    trend : bool
        Asked of the gain's slope over the noise ratio, in place of the gain at each.
    """

    family: str
    asked: datetime
    why: str
    section: str
    chapter: str
    dataset: str
    places: tuple[dict[str, Any], ...]
    better: tuple[str, ...]
    seeds: tuple[int, ...]
    taus: tuple[float, ...] = ()
    choose_on: tuple[int, ...] = ()
    trend: bool = False

    def __post_init__(self) -> None:
        """Refuse a choice on the seeds that decide."""
        if bool(self.taus) != bool(self.choose_on) or set(self.choose_on) & set(self.seeds):
            raise ValueError(f"{self.family}: the seeds that choose a tau cannot decide as well")

    @property
    def losses(self) -> tuple[str, ...]:
        """SL first."""
        return (WORSE, *self.better)


@cache
def questions() -> tuple[Question, ...]:
    """Return the questions in ``paper/questions.yml``, in its order."""
    text = (files("companion.paper") / "questions.yml").read_text(encoding="utf-8")
    found = []
    for row in yaml.safe_load(text):
        lists = {k: tuple(row[k]) for k in ("places", "better", "taus") if k in row}
        ranges = {k: _range(row[k]) for k in ("seeds", "choose_on") if k in row}
        found.append(Question(**{**row, **lists, **ranges}))
    return tuple(found)


def without_fresh(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records but those on the seeds that a question keeps for itself.

    The first seeds of a cell were looked at while the book was written; the fresh ones answer the
    questions that were written before them, and mixing the two would make neither.
    """
    return [r for r in records if not _is_fresh(r["config"])]


def only_fresh(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records that :func:`without_fresh` leaves out."""
    return [r for r in records if _is_fresh(r["config"])]


@cache
def _kept_seeds() -> dict[tuple[str, str], set[int]]:
    """Return the seeds that questions keep, by dataset and setting."""
    kept: dict[tuple[str, str], set[int]] = {}
    for question in questions():
        for place in question.places:
            kept.setdefault((question.dataset, place["setting"]), set()).update(question.seeds)
    return kept


def _is_fresh(config: dict[str, Any]) -> bool:
    return config["seed"] in _kept_seeds().get((config["dataset"], config["setting"]), ())


def _range(text: str) -> tuple[int, ...]:
    first, last = map(int, text.split("-"))
    return tuple(range(first, last + 1))
