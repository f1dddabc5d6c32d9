"""DrRL: robust over a Rényi ball, between the softmax loss and the cosine contrastive loss."""

import torch
from torch import Tensor, nn

from psl.losses.base import Reduction, check_positive, check_scores, reduce
from psl.losses.stateful import Batch, StatefulLoss, TrainingSetup
from psl.ops import lookup

__all__ = ["DrRLLoss", "drrl_loss"]


def drrl_loss(
    positive: Tensor,
    negative: Tensor,
    margin: Tensor | float = 0.7,
    order: float = 150.0,
    negative_weight: float = 1.0,
    smoothing: float = 0.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DrRL of Zhang et al. (AAAI 2025).

    .. math:: (1 - \cos_i)_+ + m + \Big(\mathrm{mean}_j\, \big(w\,(\cos_j - m)_+\big)^p\Big)^{1/p},
              \quad p = \frac{\omega}{\omega - 1}

    With the best ``m`` the last two terms are the worst mean of ``cos_j`` over the distributions
    within a Rényi divergence of order ``omega`` and radius ``p log(w)`` of the uniform one.  At
    ``omega = inf`` and a fixed ``m`` it is CCL, and ``m`` a constant beside it.  As ``omega`` goes
    to 1 that divergence becomes Kullback and Leibler's, and the gradient of the worst mean the
    softmax loss's, at the temperature of the radius (``psl.dro``).  Scores are ``cos / 2``.
    ``reduction``, result and errors as :func:`psl.pairwise_softmax_loss`; a number out of its range
    is a ValueError too.

    Parameters
    ----------
    margin : Tensor of shape (B,), or float
        ``m``, a cosine.
    order : float
        ``omega``, above 1; infinite too.
    negative_weight : float
        ``w``, positive; 1 and more where it is to be a radius.
    smoothing : float
        Added to each term of the mean; 0.1 in the authors' code, 0 in the formula.
    """
    positive, negative = check_scores(positive, negative)
    _check(order, negative_weight)
    p, count = 1 / (1 - 1 / order), negative.shape[1]
    margin = margin.to(positive) if isinstance(margin, Tensor) else positive.new_tensor(margin)
    above = smoothing + negative_weight * (2 * negative - margin.unsqueeze(-1)).clamp(min=0)
    # A power of a small number is 0 where the scale is not taken out.
    scale = above.detach().amax(dim=-1, keepdim=True).clamp(min=torch.finfo(above.dtype).tiny)
    norm = torch.linalg.vector_norm(above / scale, ord=p, dim=-1) * scale.squeeze(-1)
    value = (1 - 2 * positive).clamp(min=0) + margin + norm / count ** (1 / p)
    return reduce(value, reduction)


def _check(order: float, negative_weight: float) -> None:
    check_positive(negative_weight=negative_weight)
    if not order > 1:
        raise ValueError(f"order must be above 1, got {order}")


class DrRLLoss(StatefulLoss):
    """DrRL with a margin for each user, which descends the loss (its authors' code).

    Parameters
    ----------
    margin, margin_lr : float
        The margin of every user at first, and the step size of all, positive.  Where the reduction
        is the mean, a step is down the gradient of the *sum* over the batch, by plain SGD.
    order, negative_weight, smoothing : float
        As :func:`psl.losses.drrl_loss`.
    """

    needs_ids = True
    coupled_rows = True  # the size of the batch is in the gradient of the margins
    settings = ("margin", "order", "negative_weight", "smoothing", "margin_lr")

    def __init__(
        self,
        margin: float = 0.7,
        order: float = 150.0,
        negative_weight: float = 1.0,
        *,
        smoothing: float = 0.0,
        margin_lr: float = 1e-3,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        _check(order, negative_weight)
        check_positive(margin_lr=margin_lr)
        self.margin, self.order, self.negative_weight = margin, order, negative_weight
        self.smoothing, self.margin_lr = smoothing, margin_lr
        self.register_parameter("margins", None)

    def setup(self, training: TrainingSetup) -> None:
        """Create the margins and their optimiser."""
        self.margins = nn.Parameter(torch.full((training.num_users, 1), self.margin))
        self.optimizers = [torch.optim.SGD([self.margins], lr=self.margin_lr)]

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss; without ids every margin is the first one."""
        margin: Tensor | float = self.margin
        if batch is not None:
            margin = lookup(batch.users, self.created("margins")).squeeze(1)
            margin = margin + (len(margin) - 1) * (margin - margin.detach())
        own = margin, self.order, self.negative_weight, self.smoothing
        return drrl_loss(positive, negative, *own, reduction=self.reduction)
