"""Check on one loss against every baseline of a table at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from companion.claims.paired_runs import compare
from companion.claims.subject import Subject, Verdict, check
from companion.statistics import holm, paired_difference

__all__: list[str] = []

LEVEL = 0.05


@check
def above_every(
    subject: Subject, *, better: str, baselines: Sequence[str], command: str, **where: Any
) -> Verdict:
    """Compare a loss with each baseline, seed by seed, by two-sided paired t-tests.

    It is above every one if it is above each at 5 %: all have to pass, so none needs a correction
    (an intersection-union test).  One baseline that is ahead refutes it, also before the others
    have their runs; any may be the one, so that is corrected for all of them, by Holm's method.
    """
    found = {b: compare(subject, better=better, worse=b, **where) for b in baselines}
    ids = list(dict.fromkeys(run["run_id"] for c in found.values() for run in c.runs))
    if any(c.waits == "differs" for c in found.values()):  # runs of other data
        return Verdict("differs", next(c.note for c in found.values() if c.waits == "differs"), ids)
    gaps = {b: paired_difference(c.ours, c.other) for b, c in found.items() if not c.waits}
    missing = [b for b in baselines if b not in gaps]
    least = sorted(gaps, key=lambda b: gaps[b].mean)
    told = "; ".join(f"{b} {gaps[b].relative:+.1%}, p {_p(gaps[b].p_value)}" for b in least)
    beside = [1.0] * len(missing)
    corrected = holm([*(gaps[b].p_value for b in least), *beside])
    ahead = [b for b, p in zip(least, corrected, strict=False) if p < LEVEL and gaps[b].mean < 0]
    if ahead:
        evidence = f"behind {', '.join(ahead)} after correction; its gain on {told}"
        return Verdict("differs", evidence, ids, gaps[ahead[0]].p_value)
    if missing:
        waits = f"no paired seeds with {', '.join(missing)} yet"
        return Verdict("not yet run", "; ".join(filter(None, [told, waits, command])), ids)
    largest = max(gaps[b].p_value for b in least)
    above = all(gap.mean > 0 for gap in gaps.values()) and largest < LEVEL
    evidence = f"its gain on {told}"
    return Verdict("reproduced" if above else "cannot tell", evidence, ids, largest)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.0005 else f"{value:.3f}"
