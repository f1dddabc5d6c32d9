"""What seeds can tell: intervals, paired differences, a correction for many questions."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy  # loads its parts where they are named: stats takes a second

__all__ = [
    "Interval",
    "PairedDifference",
    "bootstrap",
    "holm",
    "interval",
    "p_text",
    "paired_difference",
    "power",
    "prediction_half_width",
    "robust_spread",
    "seeds_needed",
    "sign_flip",
]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its t-interval; one value has no interval (NaN)."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class PairedDifference:
    """One loss against another on the same seeds.

    Attributes
    ----------
    mean : float
        Of the differences.
    low : float
    high : float
        The ends of its t-interval; NaN for one pair.
    relative : float
        The mean over ``other``: the paper's Imp.%, as a fraction.
    other : float
        The mean of the other loss.
    correlation : float
        Of the two over the seeds; NaN for fewer than three, or without spread.
    p_value : float
        Two-sided paired t-test against no difference; NaN for one pair.
    count : int
        Pairs.
    """

    mean: float
    low: float
    high: float
    relative: float
    other: float
    correlation: float
    p_value: float
    count: int


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of values over seeds and its Student t-interval.

    Parameters
    ----------
    values : sequence of float
        One value a seed, at least one.
    level : float
        Coverage, in (0, 1).

    Raises
    ------
    ValueError
        Without a value, or for a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, got {level}")
    x = np.asarray(values, dtype=float)
    if x.size == 0:
        raise ValueError("no value, no mean")
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = _quantile(level, x.size - 1) * float(x.std(ddof=1)) / math.sqrt(x.size)
    return Interval(mean, mean - half, mean + half, x.size)


def robust_spread(groups: Sequence[Sequence[float]]) -> float:
    """Return the relative standard deviation within a typical group.

    Each group, the seeds of one cell, is divided by its own mean.  Of three groups and more the
    median of the variances counts, each in units of its own median under a normal distribution, so
    that a wrong one hardly moves it; two are pooled.  A group of one tells nothing; without any
    group of two the spread is NaN.
    """
    parts = [np.asarray(g, dtype=float) / np.mean(g) for g in groups if len(g) > 1]
    if not parts:
        return math.nan
    if len(parts) < 3:
        squares = sum(float(((p - p.mean()) ** 2).sum()) for p in parts)
        return math.sqrt(squares / sum(p.size - 1 for p in parts))
    medians = [scipy.stats.chi2.ppf(0.5, p.size - 1) / (p.size - 1) for p in parts]
    variances = [p.var(ddof=1) / m for p, m in zip(parts, medians, strict=True)]
    return math.sqrt(float(np.median(variances)))


def prediction_half_width(spread: float, freedom: int, count: int, level: float = 0.95) -> float:
    """Return how far from the mean of ``count`` values one more of the same kind may fall.

    Parameters
    ----------
    spread : float
        Standard deviation of a value, estimated with ``freedom`` degrees of freedom.
    freedom, count : int
        At least 1.
    level : float
        Coverage.
    """
    if freedom < 1 or count < 1:
        raise ValueError(f"at least one, got {freedom} degrees of freedom and {count} values")
    return _quantile(level, freedom) * spread * math.sqrt(1 + 1 / count)


def paired_difference(
    ours: Sequence[float], other: Sequence[float], level: float = 0.95
) -> PairedDifference:
    """Compare two losses on the same seeds, in the same order.

    A seed fixes the split, the order and the draws, so two losses may share part of their noise.
    With correlation r the variance of a difference is 2 (1 - r) times that of a side: pairing
    helps where r is positive.

    Raises
    ------
    ValueError
        If the two are not of one length.
    """
    a, b = (np.asarray(x, dtype=float) for x in (ours, other))
    if a.shape != b.shape:
        raise ValueError(f"pairs are wanted, got {a.size} and {b.size} values")
    gap = interval(list(a - b), level)
    if a.size < 2:
        p_value = math.nan
    elif np.ptp(a - b) <= 1e-12 * abs(gap.mean):  # without spread: certain, one way or the other
        p_value = 0.0 if gap.mean else 1.0
    else:
        p_value = float(scipy.stats.ttest_rel(a, b).pvalue)
    base = float(b.mean())
    relative = gap.mean / base if base else math.nan
    spread = a.size > 2 and bool(a.std()) and bool(b.std())
    alike = float(np.corrcoef(a, b)[0, 1]) if spread else math.nan
    ends = (gap.mean, gap.low, gap.high)
    return PairedDifference(*ends, relative, base, alike, p_value, a.size)


def bootstrap(
    values: Sequence[float], draws: int = 10_000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the ends of the percentile bootstrap's interval for a mean.

    Parameters
    ----------
    values : sequence of float
        One value a unit, such as the difference of a user; at least two.
    draws : int
        Samples with replacement.
    level : float
        Coverage, in (0, 1).
    seed : int
        Of the samples.
    """
    found = scipy.stats.bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        n_resamples=draws,
        batch=500,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def sign_flip(differences: Sequence[float]) -> float:
    """Return the exact two-sided p-value of paired differences under a flip of their signs.

    It assumes that the differences are symmetric about zero if there is no effect, and no normal
    distribution.  With ``n`` pairs it is at least ``2 / 2**n``.

    Raises
    ------
    ValueError
        Without a difference, or with more than 20: a million flips are enough.
    """
    d = np.asarray(differences, dtype=float)
    if not 0 < d.size <= 20:
        raise ValueError(f"one to twenty differences are wanted, got {d.size}")
    signs = 1 - 2 * ((np.arange(2**d.size)[:, None] >> np.arange(d.size)) & 1)
    # A flip that gives the same sum but for rounding is as extreme.
    least = abs(d.sum()) * (1 - 1e-12)
    return float(np.mean(abs(signs @ d) >= least))


def p_text(value: float) -> str:
    """Write a p-value with three digits, a very small one as what it is below."""
    return "< 0.001" if value < 0.0005 else f"{value:.3f}"


def power(effect: float, spread: float, count: int, level: float = 0.05) -> float:
    """Return how often a two-sided paired t-test of ``count`` pairs finds a true ``effect``.

    Parameters
    ----------
    effect, spread : float
        Mean and standard deviation of the differences, in one unit.
    count : int
        Pairs, at least 2.
    level : float
        Of the test, after correction.
    """
    if count < 2:
        raise ValueError(f"at least two pairs are wanted, got {count}")
    if spread == 0:
        return 1.0 if effect else level
    freedom, shift = count - 1, abs(effect) / spread * math.sqrt(count)
    # The mean over the estimated spread; the non-central t of scipy is NaN for large shifts.
    bars = scipy.special.stdtrit(freedom, 1 - level / 2) * _spread_estimates(freedom)
    return float(np.mean(scipy.special.ndtr(shift - bars) + scipy.special.ndtr(-bars - shift)))


@cache
def _spread_estimates(freedom: int) -> np.ndarray:
    """Return 4000 quantiles of an estimated standard deviation, in units of the true one."""
    middle = (np.arange(4000) + 0.5) / 4000
    estimates: np.ndarray = np.sqrt(scipy.stats.chi2.ppf(middle, freedom) / freedom)
    return estimates


def seeds_needed(
    effect: float, spread: float, level: float = 0.05, wanted: float = 0.8, most: int = 1000
) -> int | None:
    """Return how many pairs find a true ``effect`` in a share ``wanted`` of the cases.

    Parameters
    ----------
    effect, spread, level
        As :func:`power` takes them.
    wanted : float
        The power to exceed.
    most : int
        Where more would be needed, the answer is ``None``.
    """
    counts = range(2, most + 1)
    found = bisect_left(counts, True, key=lambda n: power(effect, spread, n, level) > wanted)
    return counts[found] if found < len(counts) else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down method; NaN stays NaN.

    A corrected value below 0.05 keeps the chance of any false finding among all below 0.05.
    """
    p = np.asarray(p_values, dtype=float)
    out = np.full(p.size, math.nan)
    order = [int(k) for k in np.argsort(p) if not math.isnan(p[k])]
    worst = 0.0
    for place, k in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - place) * float(p[k])))
        out[k] = worst
    return [float(x) for x in out]


def _quantile(level: float, freedom: int) -> float:
    """Return Student's t that ``level`` of the distribution lies within, to either side."""
    return float(scipy.special.stdtrit(freedom, (1 + level) / 2))
