"""LambdaRank and LambdaLoss: pairs weighed by what they move in DCG."""

from typing import Literal, get_args

import torch
from torch import Tensor

from psl.activations import log1p_exp
from psl.losses.base import Reduction, check_at_least, check_scores, reduce
from psl.losses.stateful import StatefulLoss

__all__ = ["LambdaLoss", "pair_weights", "sampled_ranks"]

Rule = Literal["swap", "gap", "gap-first"]


@torch.no_grad()
def sampled_ranks(
    positive: Tensor, negative: Tensor, stands_for: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Estimate ranks in the catalogue, from 1, of the positive (B, 1) and the negatives (B, N).

    ``stands_for`` is the number of items that one sampled item stands for; with 1 these are the
    ranks within the row.
    """
    ordered = negative.sort(dim=-1).values

    def better(scores: Tensor) -> Tensor:
        place = torch.searchsorted(ordered, scores.contiguous(), right=True)
        return stands_for * (negative.shape[1] - place).to(negative)

    own = positive.unsqueeze(-1)
    return 1 + better(own), 1 + better(negative) + (own > negative)


@torch.no_grad()
def pair_weights(rank: Tensor, others: Tensor, rule: Rule = "gap", k: int | None = None) -> Tensor:
    r"""Return the weight of each pair, with the discount ``D(r) = log2(1 + r)`` of a rank ``r``.

    ``"swap"`` is LambdaRank's, by how much DCG changes if the two trade places (Burges 2010);
    ``"gap"`` that of NDCG-Loss2 (Wang et al. 2018), for ranks ``m`` apart, which is at least 1;
    ``"gap-first"`` its first term alone, as in the public code of the SL@K paper:

    .. math:: |1/D(r_i) - 1/D(r_j)|, \qquad 1/D(m) - 1/D(m + 1), \qquad 1/D(m)

    With ``k`` a pair of which one is below the first ``k`` weighs ``1 / (1 - 1/x)`` times as much,
    where ``x`` is the discount of the lower one (Jagerman et al. 2022); in the public code its
    rank.
    """
    if rule == "swap":
        weight = (1 / torch.log2(1 + rank) - 1 / torch.log2(1 + others)).abs()
    else:
        apart = (rank - others).abs().clamp(min=1)
        weight = 1 / torch.log2(1 + apart)
        if rule == "gap":
            weight = weight - 1 / torch.log2(2 + apart)
    if k is None:
        return weight
    lower = torch.maximum(rank, others)
    x = lower if rule == "gap-first" else torch.log2(1 + lower)
    return torch.where(lower > k, weight / (1 - 1 / x), weight)


class LambdaLoss(StatefulLoss):
    r"""LambdaLoss and its relatives, with ranks estimated from the sampled items.

    .. math:: \sum_j \Delta_{ij} \log(1 + e^{f_j - f_i})

    Scores are inner products.  ``Delta`` are the ``pair_weights`` of ``sampled_ranks``,
    held fixed in the gradient.  The sum over the catalogue is estimated from the sample; for
    ``"swap"`` and ``"gap-first"``, whose weights do not fall with the distance or slowly, it is the
    mean over the sample.  Before ``setup`` the sampled items count as the whole catalogue.

    Parameters
    ----------
    rule : {"swap", "gap", "gap-first"}
        LambdaRank, LambdaLoss, and LambdaLoss as in the public code of the SL@K paper.
    k : int, optional
        Cut-off of LambdaLoss@K, at least 1.
    """

    settings = ("rule", "k")

    def __init__(
        self, rule: Rule = "gap", k: int | None = None, *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        if rule not in get_args(Rule):
            raise ValueError(f"rule must be one of {get_args(Rule)}, got {rule!r}")
        check_at_least(1, k=1 if k is None else k)
        self.rule: Rule = rule
        self.k = k

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        positive, negative = check_scores(positive, negative)
        count = negative.shape[1]
        stands_for = max(1.0, ((self.num_items or 0) - 1) / count)
        ranks = sampled_ranks(positive, negative, stands_for)
        d = negative - positive.unsqueeze(-1)
        pairs = pair_weights(*ranks, self.rule, self.k) * log1p_exp(d)
        value = stands_for * pairs.sum(dim=-1) if self.rule == "gap" else pairs.mean(dim=-1)
        return reduce(value, self.reduction)
