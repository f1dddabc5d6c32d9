"""The ledger in one bar: how many statements stand how."""

from __future__ import annotations

from collections.abc import Mapping

from IPython.display import HTML

__all__ = ["status_bar"]


def status_bar(counts: Mapping[str, int], subject: str) -> HTML:
    """Return a bar with a part for each status, as wide as its share, and its number in it.

    Parameters
    ----------
    counts : mapping of str to int
        Status to number of rows, in the order of the bar; a status without rows is left out.
    subject : str
        What is counted, for those who hear the bar.
    """
    there = {status: count for status, count in counts.items() if count}
    words = ", ".join(f"{count} {status}" for status, count in there.items())
    parts = "".join(
        f'<span class="status-{status.replace(" ", "-")}" style="flex-grow: {count}" '
        f'title="{count} {status}">{count}</span>'
        for status, count in there.items()
    )
    names = " ".join(
        f'<span class="status-{status.replace(" ", "-")}">{status}</span> {count}'
        for status, count in there.items()
    )
    bar = f'<div class="status-bar" role="img" aria-label="{subject}: {words}">{parts}</div>'
    return HTML(f'{bar}<p class="status-key">{names}</p>')
