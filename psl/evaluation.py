"""Full-catalogue ranking of every user, vectorised: one top-k serves every metric and cut-off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from psl.interactions import Interactions
from psl.kernels.products import matmul
from psl.ops.precision import full_precision, promote_embeddings

__all__ = ["CUTOFFS", "evaluate", "metrics_from_hits"]

CUTOFFS = (5, 10, 20, 50)


def metrics_from_hits(
    hits: Tensor, relevant: Tensor, cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, Tensor]:
    """Return Recall, NDCG and MRR at each cut-off for a block of users, each of shape (B,).

    Recall divides by the number of relevant items; NDCG by the DCG of a perfect list of
    ``min(k, relevant)``; MRR adds the reciprocal ranks of all hits and divides by their number, as
    the public code does.  A user without relevant items scores 0.

    Parameters
    ----------
    hits : Tensor of bool, shape (B, K)
        Whether the item at each rank is relevant, best rank first; K is at least the largest
        cut-off, and a list that ends before is continued with misses.
    relevant : Tensor of int, shape (B,)

    Raises
    ------
    ValueError
        If there is no cut-off, one is below 1, or the lists are shorter than one: the ideal list
        would be cut with them.
    """
    _check_cutoffs(cutoffs)
    if hits.shape[1] < max(cutoffs):
        raise ValueError(f"lists of {hits.shape[1]} places have no metrics at {max(cutoffs)}")
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device, dtype=torch.float64)
    gain, reciprocal = 1 / torch.log2(1 + rank), 1 / rank
    ideal = torch.cat([gain.new_zeros(1), gain.cumsum(0)])
    hit, out = hits.double(), {}
    for k in cutoffs:
        found = hit[:, :k].sum(1)
        out[f"recall@{k}"] = found / relevant.clamp(min=1)
        out[f"ndcg@{k}"] = (hit[:, :k] @ gain[:k]) / ideal[relevant.clamp(1, k)]
        out[f"mrr@{k}"] = (hit[:, :k] @ reciprocal[:k]) / found.clamp(min=1)
    return out


def _check_cutoffs(cutoffs: Sequence[int]) -> None:
    if not cutoffs or min(cutoffs) < 1:
        raise ValueError(f"cutoffs must be one or more numbers from 1 on, got {list(cutoffs)}")


@full_precision
def _scores(users: Tensor, items: Tensor) -> Tensor:
    return matmul(users, items.T)


@torch.no_grad()
def evaluate(
    embed: Callable[[Tensor], tuple[Tensor, Tensor]],
    target: Interactions,
    masked: Interactions,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    rows: int = 512,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Rank the whole catalogue for every user and average the metrics over *all* users.

    Parameters
    ----------
    embed : callable
        ``users -> (user embeddings (B, d), item embeddings (I, d))``.  They are multiplied in their
        own dtype, but at least in float32, also under autocast.
    target : Interactions
        The relevant items.
    masked : Interactions
        Items that may not be recommended (training positives).  They are never hits, not even where
        fewer than k others are left; a list is then shorter than k.
    cutoffs : sequence of int
        Beyond the end of the catalogue a list has misses.
    rows : int
        Users ranked at once; memory is about ``4 * rows * I`` bytes.
    device : str or torch.device
        Where it is ranked: that of the embeddings, which are asked for users there.

    Returns
    -------
    dict
        ``{"recall@20": ..., "ndcg@20": ..., "mrr@20": ...}``, dimensionless, in [0, 1].

    Raises
    ------
    ValueError
        If the embeddings, or ``masked``, are of other users or items than ``target``, a score is
        not a number, there is no cut-off, or ``rows`` or a cut-off is below 1.
    """
    if (masked.num_users, masked.num_items) != (target.num_users, target.num_items):
        raise ValueError(
            f"masked has {masked.num_users} users and {masked.num_items} items, "
            f"target {target.num_users} and {target.num_items}"
        )
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    _check_cutoffs(cutoffs)
    size, depth = target.num_items, min(max(cutoffs), target.num_items)
    # Pairs are sorted by user, then item: so are these numbers, and a hit is one of them.
    view, mask = target.to(device), masked.to(device)
    wanted, relevant = view.users * size + view.items, view.indptr.diff()
    total: dict[str, Tensor] = {}
    broken = torch.zeros((), dtype=torch.bool, device=device)
    for first in range(0, target.num_users, rows):
        last = min(first + rows, target.num_users)
        users = torch.arange(first, last, device=device)
        u, v = promote_embeddings(*embed(users))
        if (len(u), len(v)) != (len(users), size):
            raise ValueError(
                f"embed gave {len(u)} users and {len(v)} items, wanted were {len(users)} and {size}"
            )
        scores = _scores(u, v)
        known = slice(*masked.indptr[[first, last]])  # the masked pairs of these users
        scores[mask.users[known] - first, mask.items[known]] = -torch.inf
        best = scores.topk(depth, dim=1)
        broken |= best.values[:, 0].isnan().any()  # NaN comes first; a GPU is asked once, below
        top = users.unsqueeze(1) * size + best.indices
        place = torch.searchsorted(wanted, top).clamp(max=max(len(wanted) - 1, 0))
        hits = wanted[place] == top if len(wanted) else torch.zeros_like(top, dtype=torch.bool)
        hits &= ~best.values.isneginf()  # a list may be longer than what is not masked
        hits = pad(hits, (0, max(cutoffs) - depth))
        for name, value in metrics_from_hits(hits, relevant[users], cutoffs).items():
            total[name] = total.get(name, 0) + value.sum()
    if bool(broken):
        raise ValueError("a score is not a number (NaN): there is no ranking")
    return {name: float(value) / target.num_users for name, value in total.items()}
