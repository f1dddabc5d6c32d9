"""Seeds as a person writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from psl.errors import PSLError

__all__ = ["read_seeds"]

MOST_SEEDS = 10_000


def read_seeds(texts: Sequence[str], called: str = "--seeds") -> list[int]:
    """Read ``0-4`` and ``0,3`` and mixtures of them; ``called`` is what an error calls them."""
    seeds: list[int] = []
    for text in texts:
        for part in text.split(","):
            found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
            if not found or int(found[2] or found[1]) < int(found[1]):
                raise PSLError(f"{called} takes numbers and ranges as 0-4 or 0,3, got {text!r}")
            first, last = int(found[1]), int(found[2] or found[1])
            if last - first >= MOST_SEEDS:
                raise PSLError(f"{called} {text}: at most {MOST_SEEDS:,} seeds at once")
            seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))
