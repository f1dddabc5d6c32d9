"""SimCE: a hinge on the hardest negative."""

from torch import Tensor

from psl.losses.base import Loss, Reduction, check_scores, reduce

__all__ = ["SimCELoss", "simce_loss"]


def simce_loss(
    positive: Tensor, negative: Tensor, margin: float = 5.0, *, reduction: Reduction = "mean"
) -> Tensor:
    r"""Simplified sampled softmax loss of Yang et al. (2024), ``(m + max_j f_j - f_i)_+``.

    The largest negative alone counts, as for the softmax loss at a temperature of 0, and it costs
    until it lies a margin ``m`` below the positive.  Scores are inner products.  Shapes,
    ``reduction``, result and errors as :func:`psl.pairwise_softmax_loss`.
    """
    positive, negative = check_scores(positive, negative)
    hardest = negative.max(dim=-1).values
    return reduce((margin + hardest - positive).clamp(min=0), reduction)


class SimCELoss(Loss):
    """Module form of :func:`psl.losses.simce_loss`."""

    settings = ("margin",)

    def __init__(self, margin: float = 5.0, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        return simce_loss(positive, negative, self.margin, reduction=self.reduction)
