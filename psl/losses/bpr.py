"""Bayesian personalised ranking: one pair at a time."""

from torch import Tensor

from psl.activations import log1p_exp
from psl.losses.base import Loss, Reduction, check_scores, reduce

__all__ = ["BPRLoss", "bpr_loss"]


def bpr_loss(positive: Tensor, negative: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Bayesian personalised ranking, mean over the negatives of ``log(1 + exp(d))`` (2.3).

    Scores are inner products, not cosines.  Shapes and errors as :func:`pairwise_softmax_loss`.
    """
    positive, negative = check_scores(positive, negative)
    return reduce(log1p_exp(negative - positive.unsqueeze(-1)).mean(dim=-1), reduction)


class BPRLoss(Loss):
    """Module form of :func:`bpr_loss`."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        return bpr_loss(positive, negative, reduction=self.reduction)
