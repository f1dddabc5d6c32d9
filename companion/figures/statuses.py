"""The ledger in one bar: how many statements stand how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from companion.pages import render

__all__ = ["StatusBar", "badge", "status_bar"]


@dataclass(frozen=True)
class StatusBar:
    """A piece of HTML that a notebook shows; IPython is no need of who only draws figures."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def status_bar(counts: Mapping[str, int], subject: str) -> StatusBar:
    """Return a bar with a part for each status, as wide as its share, and its number in it.

    Parameters
    ----------
    counts : mapping of str to int
        Status to number of rows, in the order of the bar; a status without rows is left out.
    subject : str
        What is counted, for those who hear the bar.
    """
    there = {status: count for status, count in counts.items() if count}
    return StatusBar(render("statuses.html", counts=there, subject=subject))


def badge(status: str) -> Markup:
    """Return a status in its colour, for a cell of a table."""
    return Markup('<span class="status-{}">{}</span>').format(status.replace(" ", "-"), status)
