"""Checks on orderings: a paired test, corrected for the questions that are asked beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from companion.claims.ordering_rows import ordering_rows
from companion.claims.paired_runs import Comparison, blind, compare, compare_slopes
from companion.claims.subject import Subject, Verdict, check
from companion.reference import printed_gains
from companion.statistics import PairedDifference, holm, p_text, paired_difference, power, sign_flip

__all__: list[str] = []

LEVEL = 0.05


@check
def better_than(subject: Subject, **asked: Any) -> Verdict:
    """Compare two losses on the seeds that were fixed before: fewer decide nothing, nor do more.

    A two-sided paired t-test at 5 %, with Holm's correction over every question of the family: one
    that has no runs yet counts as one that found nothing, or who chooses what to run would choose
    the correction.  Whoever looks again after every seed finds something at last, so the seeds are
    fixed; what the test could have found is told where it finds nothing.
    """
    return _verdict(subject, asked, *_printed_gain(**asked), relative=True)


@check
def gain_grows(subject: Subject, **asked: Any) -> Verdict:
    """Compare the slope of the gain over the noise ratio with none, seed by seed."""
    gains = printed_gains("noise", asked["backbone"], asked["metric"], asked["better"])
    mean = gains.groupby("noise_ratio")["gain"].mean()[list(asked["noise_ratios"])]
    slope = float(np.polyfit(mean.index, mean, 1)[0])
    return _verdict(subject, asked, slope, f"the mean printed slope of {slope:+.2f}")


@check
def above_every(subject: Subject, *, baselines: Sequence[str], **asked: Any) -> Verdict:
    """Compare a loss with each baseline, seed by seed, by two-sided paired t-tests.

    It is above every one if it is above each at 5 %: all have to pass, so none needs a correction
    (an intersection-union test).  One baseline that is ahead refutes it, also before the others
    have their runs; any may be the one, so that is corrected for all of them, by Holm's method.
    """
    found = {b: _comparison(subject, {**asked, "worse": b}) for b in baselines}
    ids = list(dict.fromkeys(run["run_id"] for c in found.values() for run in c.runs))
    if any(c.waits == "differs" for c in found.values()):  # runs of other data
        return Verdict("differs", next(c.note for c in found.values() if c.waits == "differs"), ids)
    gaps = {b: _gap(c) for b, c in found.items() if not c.waits}
    missing = [b for b in baselines if b not in gaps]
    least = sorted(gaps, key=lambda b: gaps[b].mean)
    told = "; ".join(f"{b} {gaps[b].relative:+.1%}, p {p_text(gaps[b].p_value)}" for b in least)
    corrected = holm([*(gaps[b].p_value for b in least), *[1.0] * len(missing)])
    ahead = [b for b, p in zip(least, corrected, strict=False) if p < LEVEL and gaps[b].mean < 0]
    if ahead:
        evidence = f"behind {', '.join(ahead)} after correction; its gain on {told}"
        return Verdict("differs", evidence, ids, gaps[ahead[0]].p_value)
    if missing:
        waits = f"no paired seeds with {', '.join(missing)} yet"
        return Verdict("not yet run", "; ".join(filter(None, [told, waits, asked["command"]])), ids)
    hardest = max(gaps, key=lambda b: gaps[b].p_value)
    largest, evidence = gaps[hardest].p_value, f"its gain on {told}"
    if all(gap.mean > 0 for gap in gaps.values()) and largest < LEVEL:
        return Verdict("reproduced", evidence, ids, largest)
    expected, words = _printed_gain(**{**asked, "worse": hardest})
    chance = _power(found[hardest], expected * gaps[hardest].other, LEVEL)
    evidence += f"; over {hardest} power {chance:.0%} for {words}"
    return Verdict("cannot tell", evidence, ids, largest)


def _printed_gain(
    metric: str,
    better: str,
    worse: str,
    dataset: str,
    setting: str,
    backbone: str,
    noise_ratio: float = 0.0,
    **_: Any,
) -> tuple[float, str]:
    """Return the gain to look for, and what it is: the nearest there is in print."""
    gains = printed_gains(setting, backbone, metric, better, worse)
    of = ""
    if not len(gains):  # under noise only PSL-relu is drawn
        gains, of = printed_gains(setting, backbone, metric, "psl-relu", worse), " of psl-relu"
    gains = gains[gains["noise_ratio"] == noise_ratio]
    own = gains[gains["dataset"] == dataset]
    rest = gains[gains["dataset"] != "amazon-health"]  # in the follow-up alone
    expected = float((own if len(own) else rest)["gain"].mean())
    return expected, f"{'the' if len(own) else 'the mean'} printed gain{of} of {expected:+.1%}"


def _verdict(
    subject: Subject, asked: dict[str, Any], expected: float, words: str, relative: bool = False
) -> Verdict:
    mine = _comparison(subject, asked)
    ids = [run["run_id"] for run in mine.runs]
    since = asked.get("asked", "")
    deciding = {run["run_id"] for run in mine.deciding}
    # Every record of them: who has seen a run on another device, or in another file, has seen it.
    records = [run for run in subject.records if run["run_id"] in deciding]
    unseen = blind(since, records) if since and deciding else None
    if mine.waits:
        return Verdict(mine.waits, mine.note, ids, blind=unseen)
    others = [_comparison(subject, a) for a in _family(asked.get("family", "")) if a != asked]
    beside = [1.0 if c.waits else _gap(c).p_value for c in others]
    gap = _gap(mine)
    corrected = holm([gap.p_value, *beside])[0]
    size = f"{gap.mean:+.4f} ({gap.relative:+.1%})" if relative else f"{gap.mean:+.3f}"
    flips = sign_flip([a - b for a, b in zip(mine.ours, mine.other, strict=True)])
    evidence = [mine.note] if mine.note else []
    evidence += [
        f"paired gap {size}, from {gap.low:+.4f} to {gap.high:+.4f}, p {p_text(corrected)} "
        f"corrected for {1 + len(beside)}, by sign flips {flips:.3f} not corrected, "
        f"{gap.count} seeds"
    ]
    status = "cannot tell"
    if corrected < LEVEL:
        status = "reproduced" if gap.mean > 0 else "differs"
    else:
        effect = expected * (gap.other if relative else 1.0)
        chance = _power(mine, effect, LEVEL / (1 + len(beside)))
        evidence += [f"power {chance:.0%} for {words}"]
    if unseen is not None:
        evidence += ["blind" if unseen else "not blind: a run is older than the question"]
    if asked.get("taus"):
        evidence += ["the seeds that choose had been seen"]
    if (asked["setting"], asked.get("protocol")) == ("ood", None):
        evidence += ["epochs chosen on the test set, as the public code does"]
    evidence += [asked["seen"]] if asked.get("seen") else []
    return Verdict(status, "; ".join(evidence), ids, gap.p_value, unseen)


def _comparison(subject: Subject, asked: dict[str, Any]) -> Comparison:
    """Return the differences behind a question; a family asks for them again and again."""
    key = json.dumps(asked, sort_keys=True)
    if key not in subject.memo:
        about = {k: v for k, v in asked.items() if k not in ("family", "seen", "asked")}
        compute = compare_slopes if "noise_ratios" in about else compare
        subject.memo[key] = compute(subject, **about)
    found: Comparison = subject.memo[key]
    return found


def _power(comparison: Comparison, effect: float, level: float) -> float:
    """Return how often a test of so many seeds, that differ so much, finds an effect."""
    differences = np.subtract(comparison.ours, comparison.other)
    return power(effect, float(np.std(differences, ddof=1)), len(differences), level)


def _gap(comparison: Comparison) -> PairedDifference:
    return paired_difference(comparison.ours, comparison.other)


@cache
def _families() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in ordering_rows():
        found.setdefault(row["arguments"]["family"], []).append(row["arguments"])
    return found


def _family(name: str) -> list[dict[str, Any]]:
    return _families().get(name, [])
