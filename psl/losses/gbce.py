"""Generalised binary cross-entropy: the positive's weight corrected for the sampling rate."""

from torch import Tensor

from psl.activations import log1p_exp
from psl.losses.base import Reduction, check_scores, check_share, reduce
from psl.losses.stateful import StatefulLoss

__all__ = ["GBCELoss", "gbce_loss"]


def gbce_loss(
    positive: Tensor,
    negative: Tensor,
    num_items: int | None = None,
    calibration: float = 0.75,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Generalised binary cross-entropy of gSASRec (Petrov and Macdonald 2023).

    .. math:: -\frac{1}{N + 1} \Big(\beta \log \mathrm{sigmoid}(f_i)
              + \sum_j \log(1 - \mathrm{sigmoid}(f_j))\Big), \quad
              \beta = 1 - t\,(1 - \alpha)

    ``alpha = N / (I - 1)`` is the part of the other items that is sampled, at most 1: the fewer
    they are, the more often a positive is seen, and the less it weighs.  Scores are inner products.
    ``reduction``, result and errors as :func:`psl.pairwise_softmax_loss`.

    Parameters
    ----------
    num_items : int, optional
        Size ``I`` of the catalogue; without it all of it counts as sampled, ``alpha = 1``.
    calibration : float
        ``t``, in [0, 1] or a ValueError: 0 is binary cross-entropy, 1 estimates it of all items.
    """
    positive, negative = check_scores(positive, negative)
    check_share(zero=True, calibration=calibration)
    count = negative.shape[1]
    rate = 1.0 if num_items is None else min(1.0, count / max(num_items - 1, 1))
    beta = 1 - calibration * (1 - rate)
    value = beta * log1p_exp(-positive) + log1p_exp(negative).sum(dim=-1)
    return reduce(value / (count + 1), reduction)


class GBCELoss(StatefulLoss):
    """Module form of :func:`psl.losses.gbce_loss`; ``setup`` tells it the catalogue's size."""

    settings = ("calibration",)

    def __init__(self, calibration: float = 0.75, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        check_share(zero=True, calibration=calibration)
        self.calibration = calibration

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        own = self.num_items, self.calibration
        return gbce_loss(positive, negative, *own, reduction=self.reduction)
