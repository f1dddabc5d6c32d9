"""Times in the unit a person would use."""

from __future__ import annotations

import pytest

from companion.clock import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (99.4, "99 s"),
        (99.5, "2 min"),
        (99.4 * 60, "99 min"),
        (99.5 * 60, "1.7 h"),
        (99.4 * 3600, "99.4 h"),
        (99.5 * 3600, "4.1 days"),
    ],
)
def test_a_time_is_told_in_two_digits_or_so(seconds: float, words: str) -> None:
    assert duration(seconds) == words
