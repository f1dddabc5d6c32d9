"""All metrics of a file's lists, user by user, and what the lists hold together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from companion.serving.lists import Lists, Score, products, ranked_by
from psl.errors import DataError
from psl.evaluation import expected_hits, metrics_from_hits
from psl.interactions import Interactions

__all__ = ["METRICS", "Measured", "measure", "measure_scores"]

METRICS = ("ndcg", "recall", "precision", "f1", "hit_rate", "map", "mrr")  # at a cut-off


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes
    ----------
    by_user : dict of str to ndarray, shape (users,)
        ``"ndcg@20"`` and so on, for each metric and cut-off, and ``"auc"`` where it was asked for;
        in [0, 1].
    coverage : dict of int to float
        By cut-off: how much of the catalogue is in the list of at least one user, in [0, 1].
    popularity : dict of int to float
        By cut-off: how many pairs that users had before an item of a list is in, on average over
        the places; empty where these pairs are not known.
    """

    by_user: dict[str, np.ndarray]
    coverage: dict[int, float]
    popularity: dict[int, float]

    def means(self) -> dict[str, float]:
        """Return the mean of each metric over the users, and what the lists hold together."""
        out = {name: float(values.mean()) for name, values in self.by_user.items()}
        out |= {f"coverage@{k}": value for k, value in self.coverage.items()}
        return out | {f"popularity@{k}": value for k, value in self.popularity.items()}


def measure(
    users: Tensor,
    items: Tensor,
    target: Interactions,
    seen: Interactions | None,
    cutoffs: Sequence[int] = (20,),
    *,
    chosen: np.ndarray | None = None,
    counts: np.ndarray | None = None,
    auc: bool = False,
) -> Measured:
    r"""Rank the catalogue for users and take every metric.

    With hits :math:`h_r \in \{0, 1\}` at rank r and R relevant items, of a user: precision@k is
    :math:`\sum_{r \le k} h_r / k`; recall@k divides by R; f1@k, the harmonic
    mean of the two, by (k + R) / 2; ndcg@k is the DCG over that of a perfect list; hit_rate@k is 1
    if there is a hit; mrr@k is one over the rank of the first; map@k is
    :math:`\sum_{r \le k} h_r \sum_{q \le r} h_q / r`, over min(k, R).  Items of one score stand in
    a random order, and these are expected values over it, as of :func:`psl.evaluation.evaluate`;
    coverage and popularity are of the lists as they are shown.

    Parameters
    ----------
    users, items : Tensor, shapes (U, d) and (I, d)
    target : Interactions
        The relevant items.
    seen : Interactions or None
        What is left out of the lists, and is no hit.
    cutoffs : sequence of int
    chosen : ndarray of int64, optional
        The users; all of them if not given.
    counts : ndarray, shape (I,), optional
        How many pairs each item is in, for the popularity.
    auc : bool
        Take the area under the ROC curve too: how often a relevant item scores above another, a
        tie counting half; 0 where one of the two is missing.  It sorts the whole catalogue.

    Raises
    ------
    ValueError
        If there is no cut-off or one is below 1.
    DataError
        If a score is not a number: the embeddings are too large.
    """
    return measure_scores(
        products(users, items),
        target,
        seen,
        cutoffs,
        chosen=chosen,
        counts=counts,
        auc=auc,
        device=users.device,
    )


@torch.no_grad()
def measure_scores(
    score: Score,
    target: Interactions,
    seen: Interactions | None,
    cutoffs: Sequence[int] = (20,),
    *,
    chosen: np.ndarray | None = None,
    counts: np.ndarray | None = None,
    auc: bool = False,
    device: torch.device | str = "cpu",
) -> Measured:
    """Rank by any score, and take every metric; parameters and errors as :func:`measure`."""
    rows = np.arange(target.num_users) if chosen is None else chosen
    depth = max(cutoffs, default=0)
    relevant = torch.from_numpy(target.degrees).to(device)
    popular = None if counts is None else torch.from_numpy(counts).to(device)
    parts: list[dict[str, Tensor]] = []
    shown = {k: torch.zeros(target.num_items, dtype=torch.bool, device=device) for k in cutoffs}
    places, weight = dict.fromkeys(cutoffs, 0), dict.fromkeys(cutoffs, 0)
    for block in ranked_by(score, target.num_items, torch.from_numpy(rows).to(device), seen, depth):
        if bool(block.best[:, :1].isnan().any()):  # NaN comes first
            raise DataError("a score is not a number (NaN): there is no ranking")
        wanted = target.mask(block.users)
        parts.append(_of_block(block, wanted, relevant[block.users], cutoffs))
        if auc:
            parts[-1]["auc"] = _auc(block.scores, wanted)
        possible = ~block.best.isneginf()
        for k in cutoffs:
            listed = block.items[:, :k][possible[:, :k]]
            shown[k][listed] = True
            places[k] += len(listed)
            weight[k] += 0 if popular is None else int(popular[listed].sum())
    by_user = {name: torch.cat([p[name] for p in parts]).cpu().numpy() for name in parts[0]}
    return Measured(
        by_user,
        {k: float(some.double().mean()) for k, some in shown.items()},
        {} if popular is None else {k: weight[k] / max(1, places[k]) for k in cutoffs},
    )


def _of_block(
    block: Lists, wanted: Tensor, relevant: Tensor, cutoffs: Sequence[int]
) -> dict[str, Tensor]:
    """Return the expected metrics of some users; ``wanted`` says what is relevant, (B, I)."""
    best, last = block.best, None
    if len(block.tied):
        level = block.scores == best[:, -1:]
        last = level.sum(1), (level & wanted).sum(1)
    chance, first, (size, hits, before) = expected_hits(best, wanted.gather(1, block.items), last)
    possible = ~best.isneginf()
    # Of a hit at rank r, how many of the better ranks are hits: other scores, then the same one.
    others = chance.cumsum(1) - chance
    alike = (hits - 1).clamp(min=0) / (size - 1).clamp(min=1) * before
    others = others - hits / size * before * possible + alike
    longest = max(cutoffs) - best.shape[1]
    chance, first, others = (pad(x, (0, max(0, longest))) for x in (chance, first, others))
    found = metrics_from_hits(chance, relevant, cutoffs, first=first)
    precise = chance * (1 + others) / torch.arange(1, chance.shape[1] + 1, device=best.device)
    missed = (1 - first).cumprod(1)
    out: dict[str, Tensor] = {}
    for k in cutoffs:
        out[f"ndcg@{k}"], out[f"recall@{k}"] = found[f"ndcg@{k}"], found[f"recall@{k}"]
        out[f"precision@{k}"] = chance[:, :k].sum(1) / k
        out[f"f1@{k}"] = 2 * chance[:, :k].sum(1) / (k + relevant)
        out[f"hit_rate@{k}"] = 1 - missed[:, k - 1]
        out[f"map@{k}"] = precise[:, :k].sum(1) / relevant.clamp(1, k)
        out[f"mrr@{k}"] = found[f"mrr@{k}"]
    return out


def _auc(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return the area under the ROC curve of each row (B,), from the ranks of what is relevant."""
    possible = ~scores.isneginf()
    wanted = wanted & possible
    number, left_out = wanted.sum(1), (~possible).sum(1, keepdim=True)
    own = scores.masked_fill(~wanted, -torch.inf).topk(max(1, int(number.max())), dim=1).values
    ordered = scores.sort(dim=1).values
    low, high = (torch.searchsorted(ordered, own, right=right) for right in (False, True))
    # Ranks from the worst, 1; equal scores have their mean.
    rank = ((low + high + 1).double() / 2 - left_out).masked_fill(own.isneginf(), 0)
    others = possible.sum(1) - number
    above = rank.sum(1) - number * (number + 1) / 2
    return above / (number * others).clamp(min=1)
