"""Time as a person is told it: in which unit, and how often."""

from __future__ import annotations

__all__ = ["LINE_SECONDS", "duration"]

LINE_SECONDS = 60.0  # without a terminal, a run in progress is mentioned this often


def duration(seconds: float) -> str:
    """Return a time in the unit a person would use."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 99.5 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
