"""Bayesian personalised ranking: one pair at a time."""

from __future__ import annotations

from torch import Tensor, nn

from psl.activations import softplus
from psl.losses.base import Reduction, check_reduction, check_scores, format_extra_repr, reduce

__all__ = ["BPRLoss", "bpr_loss"]


def bpr_loss(positive: Tensor, negative: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Bayesian personalised ranking, mean over the negatives of ``log(1 + exp(d))`` (2.3).

    Scores are inner products, not cosines.  Shapes and errors as :func:`pairwise_softmax_loss`.
    """
    positive, negative = check_scores(positive, negative)
    return reduce(softplus(negative - positive.unsqueeze(-1)).mean(dim=-1), reduction)


class BPRLoss(nn.Module):
    """Module form of :func:`bpr_loss`."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction

    def extra_repr(self) -> str:
        """Show the settings in ``print(loss)``."""
        return format_extra_repr(self, "reduction")

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        return bpr_loss(positive, negative, reduction=self.reduction)
