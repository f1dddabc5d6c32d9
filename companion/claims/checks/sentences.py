"""Checks on what the paper says about its own tables: each sentence from the printed numbers.

They need no run.  Whether a sentence holds for *our* runs is another row, with a check of
:mod:`companion.claims.checks.printed` or ``orderings``.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from companion.claims.subject import Subject, Verdict, check, decide

__all__: list[str] = []

PSL = ["psl-tanh", "psl-atan", "psl-relu"]
ROUNDING = 0.5e-4  # of a table's value
# Of a figure's value.  It was read off the markers of a vector drawing, which all lie within
# 1.2e-10 of five decimals: what is left of the reading error is the rounding of what was drawn.
DRAWN = 0.5e-5
CELL = ["dataset", "backbone"]


def _wide(subject: Subject, table: str, metric: str | None = None, **where: str) -> pd.DataFrame:
    """Return a table with a row for each cell and metric, and a column for each loss."""
    rows = subject.table(table)
    for column, entry in {"metric": metric, **where}.items():
        if entry is not None:
            rows = rows[rows[column] == entry]
    keys = [c for c in (*CELL, "metric", "noise_ratio", "form") if c in rows]
    return rows.pivot_table(index=keys, columns="loss", values="value")


def _gain(wide: pd.DataFrame, loss: str, other: str = "sl") -> pd.Series:
    return wide[loss] / wide[other] - 1


@check
def printed_improvement(subject: Subject, table: str, column: str) -> Verdict:
    """Recompute the column Imp.%: the best PSL over SL in NDCG@20, within the rounding of both."""
    wide = _wide(subject, table, "ndcg@20")
    best = wide[PSL].max(axis=1)
    low = (best - ROUNDING) / (wide["sl"] + ROUNDING) - 1
    high = (best + ROUNDING) / (wide["sl"] - ROUNDING) - 1
    printed = subject.table(column).set_index(CELL)["imp_percent"] / 100
    printed = printed.reindex(wide.reset_index("metric").index).to_numpy()
    inside = (low - ROUNDING <= printed) & (printed <= high + ROUNDING)
    seen = best / wide["sl"] - 1
    return decide(
        bool(inside.all()),
        f"{inside.sum()} of {len(wide)} cells; from the printed values "
        f"{seen.min():+.2%} to {seen.max():+.2%}",
    )


@check
def printed_share(
    subject: Subject,
    table: str,
    over: str,
    more_than: float,
    loss: str | None = None,
    best: bool = False,
    **where: str,
) -> Verdict:
    """Count in how many printed cells the PSLs (or one loss) stand above another, or above all.

    ``over`` names a loss, or ``baselines``; with ``best`` the best PSL of a cell counts once.
    """
    wide = _wide(subject, table, **where)
    mine = wide[[loss] if loss else PSL]
    others = wide.drop(columns=[*PSL, "psl-softplus"], errors="ignore")
    bar = others.max(axis=1) if over == "baselines" else wide[over]
    above = (mine.max(axis=1) > bar) if best else mine.gt(bar, axis=0)
    won = above.to_numpy()
    evidence = f"above in {won.sum()} of {won.size} cells"
    return decide(bool(won.mean() > more_than), evidence)


@check
def printed_range(
    subject: Subject,
    table: str,
    metric: str,
    losses: list[str],
    low: float,
    high: float,
    halves: tuple[float, float],
    over: str = "sl",
    **where: str,
) -> Verdict:
    """Look whether all gains over another loss lie in the range of the text, rounded as its ends.

    ``halves`` are half a unit of the last digit of either end.  How many cells lie within the ends
    themselves is told where it is not all of them.
    """
    wide = _wide(subject, table, metric, **where)
    if over == "baselines":
        bar = wide.drop(columns=[*PSL, "psl-softplus"], errors="ignore").max(axis=1)
        gains = wide[losses].max(axis=1) / bar - 1
    else:
        gains = pd.concat([_gain(wide, loss, over) for loss in losses])
    holds = gains.between(low - halves[0], high + halves[1])
    strictly = gains.between(low, high)
    evidence = f"{metric}: {gains.min():+.2%} to {gains.max():+.2%}"
    if not strictly.all():
        evidence += f"; {strictly.sum()} of {len(gains)} cells lie in the range before rounding"
    return decide(bool(holds.all()), evidence)


@check
def printed_ndcg_gains_more(
    subject: Subject, table: str, more_than: float, **where: str
) -> Verdict:
    """Count in how many cells a PSL gains more over SL in NDCG@20 than in Recall@20."""
    more = []
    for loss in PSL:
        ndcg, recall = (
            _gain(_wide(subject, table, m, **where), loss).droplevel("metric")
            for m in ("ndcg@20", "recall@20")
        )
        more += list(ndcg > recall)
    share = sum(more) / len(more)
    return decide(share > more_than, f"larger in NDCG@20 in {sum(more)} of {len(more)} cells")


@check
def printed_ood_gains_more(subject: Subject, datasets: list[str]) -> Verdict:
    """Compare the best PSL's NDCG@20 gain over SL out of distribution with that of IID, MF."""
    gains = {}
    for table in ("table1_iid", "table2_ood"):
        wide = _wide(subject, table, "ndcg@20", backbone="mf")
        gains[table] = (wide[PSL].max(axis=1) / wide["sl"] - 1).droplevel(["backbone", "metric"])
    pairs = [(d, gains["table1_iid"][d], gains["table2_ood"][d]) for d in datasets]
    words = ", ".join(f"{d} {iid:+.2%} to {ood:+.2%}" for d, iid, ood in pairs)
    return decide(all(ood > iid for _, iid, ood in pairs), words)


@check
def printed_noise_gain(
    subject: Subject, metric: str, loss: str, ratio: float, above: float
) -> Verdict:
    """Look whether a loss's gain over SL may exceed a bound on every dataset at a noise ratio."""
    wide = _wide(subject, "figure2_and_c1_c4_noise", metric)
    there = wide.xs(ratio, level="noise_ratio").droplevel("metric")
    gains = there[loss] / there["sl"] - 1
    words = ", ".join(f"{d} {g:.1%}" for d, g in gains.items())
    return decide(bool((gains + _drawn(there[loss], there["sl"]) > above).all()), words)


def _drawn(value: Any, base: Any) -> Any:
    """Return the reading error of ``value / base``, two values of a figure."""
    return DRAWN * (1 + value / base) / base


def _decline(subject: Subject, metric: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the relative loss from the smallest to the largest noise ratio, by panel and loss.

    The second table is the reading error of the first.
    """
    wide = _wide(subject, "figure2_and_c1_c4_noise", metric)
    ratios = wide.index.get_level_values("noise_ratio")
    ends = [wide[ratios == r].droplevel("noise_ratio") for r in (ratios.min(), ratios.max())]
    return 1 - ends[1] / ends[0], _drawn(ends[1], ends[0])


@check
def printed_smallest_decline(subject: Subject) -> Verdict:
    """Look whether PSL-relu may decline least with noise in every panel."""
    decline, error = _decline(subject)
    least = (decline - error)["psl-relu"] <= (decline + error).min(axis=1)
    return decide(bool(least.all()), f"{least.sum()} of {len(least)} panels")


@check
def printed_decline_as_fast(subject: Subject, loss: str, other: str, metric: str) -> Verdict:
    """Look whether a loss may decline with noise as fast as another, on every dataset."""
    declines, errors = _decline(subject, metric)
    decline, error = declines.droplevel("metric"), errors.droplevel("metric")
    fast = decline[loss] + error[loss] >= decline[other] - error[other]
    words = ", ".join(
        f"{d} {r[loss]:.1%} / {r[other]:.1%} ({100 * (r[loss] - r[other]):+.1f} points)"
        for d, r in decline.iterrows()
    )
    named = ", ".join(fast.index[fast]) or "none"
    words = f"{metric}, {loss} / {other}: {words}; at least as fast on: {named}"
    words += f"; reading error {100 * float(error[[loss, other]].to_numpy().max()):.2f} points"
    return decide(bool(fast.all()), words)


@check
def printed_losses_shown(subject: Subject, table: str, losses: list[str]) -> Verdict:
    """Look whether a table or figure shows every one of these losses."""
    shown = set(subject.table(table)["loss"])
    absent = [loss for loss in losses if loss not in shown]
    return decide(not absent, f"absent: {', '.join(absent) or 'none'}")


@check
def printed_lowest(subject: Subject, tables: list[str], loss: str) -> Verdict:
    """Look whether a loss stands below SL and the three PSLs in every cell of some tables."""
    below = []
    for table in tables:
        wide = _wide(subject, table)
        others = [c for c in ("sl", *PSL) if c in wide]
        below += list(wide[others].gt(wide[loss], axis=0).stack())
    return decide(all(below), f"{sum(below)} of {len(below)} comparisons")


@check
def printed_forms(subject: Subject) -> Verdict:
    """Look whether the outside form of PSL stands above the inside form in every cell."""
    rows = subject.table("table_c6_extension_forms")
    wide = rows.pivot_table(index=["dataset", "loss", "metric"], columns="form", values="value")
    above = wide["outside"] > wide["inside"]
    return decide(bool(above.all()), f"{above.sum()} of {len(above)} cells")
