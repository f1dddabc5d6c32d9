"""Checks on what losses do while they train: where their weight falls, how far the metric is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

from companion.claims.paired_runs import blind
from companion.claims.subject import OTHER_DATA, Subject, Verdict, check
from companion.dynamics import Trace
from companion.experiments import cell
from companion.records import of_registered_data
from companion.statistics import PairedDifference, holm, p_text, paired_difference

__all__: list[str] = []

LEVEL = 0.05
RHO = 0.7  # the rank correlation for which the power is told: half of the variance of the ranks


@check
def less_weight_on_false_negatives(
    subject: Subject,
    *,
    better: str,
    kind: str,
    seeds: Sequence[int],
    asked: str,
    beside: Sequence[dict[str, Any]],
    command: str,
    **where: Any,
) -> Verdict:
    """Compare the part of the weight that two losses put on false negatives, seed by seed.

    Each loss on the model that it trains, at its tuned temperature; the mean over the epochs that
    were measured.  A two-sided paired t-test; ``beside`` is where the same is asked.
    """
    both = _traces(subject, command, ("sl", better), seeds, **where)
    if isinstance(both, Verdict):
        return both
    gap = _share_gap(both, kind)
    p_values = [gap.p_value]
    for other in beside:
        there = {"dataset": where["dataset"], **other}
        of = there.pop("kind")
        found = _traces(subject, command, ("sl", better), seeds, **there)
        # A question that waits found nothing.
        p_values.append(1.0 if isinstance(found, Verdict) else _share_gap(found, of).p_value)
    corrected = holm(p_values)[0]
    unseen = blind(asked, [t.model_dump() for found in both for t in found])
    drawn = both[0][0].points[0].drawn[kind]
    evidence = (
        f"{gap.other + gap.mean:.2%} of its weight, SL {gap.other:.2%}, of the draws {drawn:.2%}; "
        f"paired gap {gap.relative:+.1%} of SL's, from {gap.low / gap.other:+.1%} to "
        f"{gap.high / gap.other:+.1%}, p {p_text(corrected)} corrected for {1 + len(beside)}, "
        f"{gap.count} seeds; {'blind' if unseen else 'not blind: a run is older'}"
    )
    status = "cannot tell"
    if corrected < LEVEL:
        status = "reproduced" if gap.mean < 0 else "differs"
    return Verdict(status, evidence, _ids(both), gap.p_value, unseen)


@check
def tighter_is_better(
    subject: Subject,
    *,
    losses: Sequence[str],
    taus: Sequence[float],
    seed: int,
    asked: str,
    command: str,
    **where: Any,
) -> Verdict:
    """Correlate the distance from the metric with the metric, over losses and temperatures."""
    models = []
    for tau in taus:
        found = _traces(subject, command, losses, [seed], tau=tau, **where)
        if isinstance(found, Verdict):
            return found
        models += [trace for (trace,) in found]
    last = [trace.points[-1] for trace in models]
    distance, ndcg = [p.distance for p in last], [p.metrics["ndcg@20"] for p in last]
    ranked, by = (scipy.stats.zscore(scipy.stats.rankdata(x)) for x in (distance, ndcg))
    test = scipy.stats.permutation_test(
        (ranked,),
        lambda x, axis: (x * by).mean(axis=axis),  # of ranks: Spearman's
        permutation_type="pairings",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    # Of Fisher's z of a rank correlation, whose variance is 1.06 / (n - 3).
    reach = np.arctanh(RHO) * np.sqrt((len(last) - 3) / 1.06) - scipy.stats.norm.ppf(1 - LEVEL / 2)
    unseen = blind(asked, [t.model_dump() for t in models])
    evidence = (
        f"rank correlation {test.statistic:+.2f} over {len(last)} models, "
        f"p {p_text(float(test.pvalue))}; "
        f"distances from {min(distance):.2f} to {max(distance):.2f} nats; power "
        f"{scipy.stats.norm.cdf(reach):.0%} for {-RHO}; {'blind' if unseen else 'not blind'}"
    )
    status = "cannot tell"
    if test.pvalue < LEVEL:
        status = "reproduced" if test.statistic < 0 else "differs"
    return Verdict(status, evidence, _ids([models]), float(test.pvalue), unseen)


def _traces(
    subject: Subject, command: str, losses: Sequence[str], seeds: Sequence[int], **where: Any
) -> list[list[Trace]] | Verdict:
    """Return the measured runs by loss and seed, or the verdict while some are missing."""
    found = {t.run_id: t for t in subject.traces}
    keys = [[cell(**where, loss=loss, seed=seed).run_id for seed in seeds] for loss in losses]
    missing = sum(key not in found for row in keys for key in row)
    if missing:
        return Verdict("not yet run", f"{missing} runs are to be measured; {command}")
    both = [[found[key] for key in row] for row in keys]
    traces = [t.model_dump() for row in both for t in row]
    if len(of_registered_data(traces)) < len(traces):
        return Verdict("differs", OTHER_DATA, _ids(both))
    return both


def _share_gap(both: Sequence[Sequence[Trace]], kind: str) -> PairedDifference:
    """Return the second loss's part minus the first's, seed by seed."""
    theirs, ours = (
        [float(np.mean([p.share[kind][str(t.config["loss"])] for p in t.points])) for t in found]
        for found in both
    )
    return paired_difference(ours, theirs)


def _ids(found: Sequence[Sequence[Trace]]) -> list[str]:
    return [t.run_id for row in found for t in row]
