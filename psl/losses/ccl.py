"""Cosine contrastive loss: a negative costs above a margin."""

from torch import Tensor

from psl.losses.base import Loss, Reduction, check_positive, check_scores, reduce

__all__ = ["CCLLoss", "ccl_loss"]


def ccl_loss(
    positive: Tensor,
    negative: Tensor,
    margin: float = 0.4,
    negative_weight: float = 150.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Cosine contrastive loss of SimpleX (Mao et al. 2021).

    .. math:: (1 - \cos_i)_+ + w\, \mathrm{mean}_j (\cos_j - m)_+

    Scores come as ``f = cos / 2``, so the cosine is ``2 f``.  ``reduction``, result and errors as
    :func:`psl.pairwise_softmax_loss`.

    Parameters
    ----------
    margin : float
        The cosine ``m`` above which a negative costs.
    negative_weight : float
        ``w``, positive.
    """
    positive, negative = check_scores(positive, negative)
    check_positive(negative_weight=negative_weight)
    above = (2 * negative - margin).clamp(min=0).mean(dim=-1)
    return reduce((1 - 2 * positive).clamp(min=0) + negative_weight * above, reduction)


class CCLLoss(Loss):
    """Module form of :func:`psl.losses.ccl_loss`, which documents the arguments."""

    settings = ("margin", "negative_weight")

    def __init__(
        self, margin: float = 0.4, negative_weight: float = 150.0, *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        check_positive(sync=True, negative_weight=negative_weight)
        self.margin, self.negative_weight = margin, negative_weight

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        own = self.margin, self.negative_weight
        return ccl_loss(positive, negative, *own, reduction=self.reduction)
