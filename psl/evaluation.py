"""Full-catalogue ranking of every user, vectorised: one top-k serves every metric and cut-off."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from psl.interactions import Interactions
from psl.kernels.dispatch import choose
from psl.ops import sampled_scores
from psl.ops.precision import check_batch, full_precision, promote_embeddings

__all__ = ["CUTOFFS", "evaluate", "metrics_from_hits"]

CUTOFFS = (5, 10, 20, 50)
MOST_PLACES = 128  # of a list that the kernel keeps in order, place by place
SUMMED = 512  # users at once: the same bits for any multiple of it in ``rows``


def metrics_from_hits(
    hits: Tensor, relevant: Tensor, cutoffs: Sequence[int] = CUTOFFS, *, first: Tensor | None = None
) -> dict[str, Tensor]:
    """Return Recall, NDCG and MRR at each cut-off for a block of users, each of shape (B,).

    Recall divides by the number of relevant items; NDCG by the DCG of a perfect list of
    ``min(k, relevant)``; MRR is the reciprocal rank of the first hit.  ``mrr_all_hits`` adds those
    of all hits and divides by their number, as the public code's MRR.  Without a hit all are 0.
    Raises ValueError if there is no cut-off, one is below 1, or the lists, and the ideal with them,
    are shorter.

    Parameters
    ----------
    hits : Tensor, shape (B, K)
        Whether the item at each rank is relevant, best rank first, or with which probability; K is
        at least the largest cut-off, and a list that ends before is continued with misses.
    relevant : Tensor of int, shape (B,)
    first : Tensor, shape (B, K), optional
        The probability where no better rank has a hit; ``hits`` if ranks are independent.
    """
    _check_cutoffs(cutoffs)
    if hits.shape[1] < max(cutoffs):
        raise ValueError(f"lists of {hits.shape[1]} places have no metrics at {max(cutoffs)}")
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device, dtype=torch.float64)
    gain, reciprocal = 1 / torch.log2(1 + rank), 1 / rank
    ideal = torch.cat([gain.new_zeros(1), gain.cumsum(0)])
    hit, out = hits.double(), {}
    first = hit if first is None else first
    missed = torch.cat([torch.ones_like(first[:, :1]), (1 - first).cumprod(1)[:, :-1]], dim=1)
    least = torch.finfo(torch.float64).tiny
    for k in cutoffs:
        found = hit[:, :k].sum(1)
        out[f"recall@{k}"] = found / relevant.clamp(min=1)
        out[f"ndcg@{k}"] = (hit[:, :k] @ gain[:k]) / ideal[relevant.clamp(1, k)]
        out[f"mrr@{k}"] = (first * missed)[:, :k] @ reciprocal[:k]
        out[f"mrr_all_hits@{k}"] = (hit[:, :k] @ reciprocal[:k]) / found.clamp(min=least)
    return out


def _check_cutoffs(cutoffs: Sequence[int]) -> None:
    if not cutoffs or min(cutoffs) < 1:
        raise ValueError(f"cutoffs must be one or more numbers from 1 on, got {list(cutoffs)}")


def expected_hits(
    best: Tensor, hits: Tensor, last: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Return the probability of a hit at each rank, and that where no better rank has one.

    Items of one score stand in a random order: ``best`` has the scores, shape (B, K), ``hits``
    what stands where now.  Where others beyond the list have the score of its end, ``last`` counts
    all of them, shape (B,), and those that are relevant.  Returned last, at each rank: the items of
    its score, the relevant ones of them, and how many of them stand before it.
    """
    group = pad((best[:, 1:] != best[:, :-1]).long().cumsum(1), (1, 0))
    none = torch.zeros_like(best, dtype=torch.float64)
    sizes = none.scatter_add(1, group, torch.ones_like(none))
    wanted = none.scatter_add(1, group, hits.double())
    rank = torch.arange(best.shape[1], device=best.device)
    before = rank - (sizes.cumsum(1) - sizes).gather(1, group)
    if last is not None:
        for counts, whole in zip((sizes, wanted), last, strict=True):
            counts.scatter_(1, group[:, -1:], whole.double().unsqueeze(1))
    n, r = sizes.gather(1, group), wanted.gather(1, group)
    possible = ~best.isneginf()  # a list may be longer than what is not masked
    return r / n * possible, (r / (n - before)).clamp(max=1) * possible, (n, r, before)


def _best_items(
    u: Tensor, v: Tensor, first: int, masked: Interactions, target: Interactions, depth: int
) -> tuple[Tensor, ...]:
    """Return what the kernel of that name does, for users from ``first`` on; also without it."""
    check_batch(u, v, 1)
    u, v = (x.contiguous() for x in promote_embeddings(u, v))
    both = [(x, x.to(u.device)) for x in (masked, target)]
    if depth <= MOST_PLACES and (kernel := choose("best_items", u)):
        ranges = [(view.indptr[first : first + len(u) + 1], view.items) for _, view in both]
        return full_precision(kernel)(u, v, ranges, depth)
    parts = [(slice(*x.indptr[[first, first + len(u)]]), view) for x, view in both]
    known, own = ((view.users[part] - first, view.items[part]) for part, view in parts)
    scores = sampled_scores(u, v, None)
    scores[known] = -torch.inf
    best, index = scores.topk(depth, dim=1)
    return best, index, (scores == best[:, -1:]).sum(1), scores[own]


@torch.no_grad()
def evaluate(
    embed: Callable[[Tensor], tuple[Tensor, Tensor]],
    target: Interactions,
    masked: Interactions | None,
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    rows: int = 1024,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Rank the whole catalogue for every user and average the metrics over *all* users.

    Items of one score stand in a random order, and the metrics are their expected values over it,
    whatever the cut-offs, ids, device and threads: of scores that are all equal, ``recall@k`` is k
    over the number of items that are not masked.  Of ``mrr_all_hits``, a quotient, numerator and
    denominator are the expected ones.

    Parameters
    ----------
    embed : callable
        ``users -> (user embeddings (B, d), item embeddings (I, d))``.  They are multiplied in their
        own dtype, but at least in float32, also under autocast.
    target : Interactions
        The relevant items.
    masked : Interactions or None
        Items that may not be recommended (training positives).  They are never hits, not even where
        fewer than k others are left; a list is then shorter than k.  ``None`` where everything may
        be: items are consumed again.
    cutoffs : sequence of int
        Beyond the end of the catalogue a list has misses.
    rows : int
        Users ranked at once, ``4 * rows * I`` bytes; on a CPU, up to 128 places, 2 KiB of each.
    device : str or torch.device
        Where it is ranked: that of the embeddings, which are asked for users there.

    Returns
    -------
    dict
        ``{"recall@20": ..., "ndcg@20": ..., "mrr@20": ..., "mrr_all_hits@20": ...}``,
        dimensionless, in [0, 1]; as ``metrics_from_hits``.

    Raises
    ------
    ValueError
        If the embeddings, or ``masked``, are of other users or items than ``target``, or lie on
        another device, a score is NaN, there is no cut-off, or one or ``rows`` is below 1.
    """
    if masked is None:
        masked = Interactions(0 * target.indptr, target.items[:0], target.num_items)
    if (masked.num_users, masked.num_items) != (target.num_users, target.num_items):
        raise ValueError(
            f"masked has {masked.num_users} users and {masked.num_items} items, "
            f"target {target.num_users} and {target.num_items}"
        )
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    _check_cutoffs(cutoffs)
    size, depth = target.num_items, min(max(cutoffs), target.num_items)
    view = target.to(device)
    total: dict[str, Tensor] = {}
    broken = torch.zeros((), dtype=torch.bool, device=device)
    for first in range(0, target.num_users, rows):
        last = min(first + rows, target.num_users)
        users = torch.arange(first, last, device=device)
        u, v = embed(users)
        if (len(u), len(v)) != (len(users), size):
            raise ValueError(
                f"embed gave {len(u)} users and {len(v)} items, wanted were {len(users)} and {size}"
            )
        if {u.device, v.device} != {users.device}:
            raise ValueError(f"the embeddings are on {u.device} and {v.device}, not on {device}")
        best, index, level, scores = _best_items(u, v, first, masked, target, depth)
        broken |= best[:, 0].isnan().any()  # NaN comes first; a GPU is asked once, below
        hits = target.has(users, index)
        row = view.users[slice(*target.indptr[[first, last]])] - first
        found = torch.zeros_like(users).index_add_(0, row, (scores == best[row, -1]).long())
        at, none_before, _ = expected_hits(best, hits, (level, found))
        expected, alone = (pad(x, (0, max(cutoffs) - depth)) for x in (at, none_before))
        values = metrics_from_hits(expected, view.indptr.diff()[users], cutoffs, first=alone)
        for name, value in values.items():
            for part in value.split(SUMMED):
                total[name] = total.get(name, 0) + part.sum()
    if bool(broken):
        raise ValueError("a score is not a number (NaN): there is no ranking")
    return {name: min(1.0, float(value) / target.num_users) for name, value in total.items()}
