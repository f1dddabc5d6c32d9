"""Talos: the softmax loss of scores that are measured from a learned quantile."""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from psl.losses.base import Reduction, check_at_least, check_positive, check_scores, reduce
from psl.losses.stateful import Batch, StatefulLoss, TrainingSetup
from psl.ops import lookup

__all__ = ["TalosLoss", "pinball", "talos_loss"]


def talos_loss(
    positive: Tensor,
    negative: Tensor,
    tau: float | Tensor = 0.1,
    quantile: Tensor | float = 0.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Talos of Zhang et al. (WWW 2026), for Precision and Recall at K.

    .. math:: \log \sum_j e^{h_j/\tau} - h_i/\tau, \quad
              h = \log \mathrm{sigmoid}(\cos - \beta_u)

    ``beta_u`` is the cosine of the user's K-th best item.  Scores come as ``f = cos / 2``, and
    ``tau`` is as its authors print it: near the quantile ``h / tau`` rises as ``f / tau`` does.
    ``reduction``, result and errors as :func:`psl.pairwise_softmax_loss`.

    Parameters
    ----------
    quantile : Tensor of shape (B,) or (), or float
        ``beta_u`` of each row, held fixed in the gradient.
    """
    positive, negative = check_scores(positive, negative)
    (tau,) = check_positive(tau=tau)
    fixed = torch.as_tensor(quantile).detach().to(positive)
    own = logsigmoid(2 * positive - fixed)
    others = logsigmoid(2 * negative - fixed.unsqueeze(-1))
    return reduce(torch.logsumexp(others / tau, dim=-1) - own / tau, reduction)


def pinball(values: Tensor, quantile: Tensor, share: float) -> Tensor:
    """Return the pinball loss of a quantile that a ``share`` of the values shall exceed."""
    over = values - quantile
    return torch.maximum((1 - share) * over, -share * over)


class TalosLoss(StatefulLoss):
    r"""Talos whose quantiles, one a user, are learned beside the model by the pinball loss.

    A positive stands for all of its user's, a sampled item for the rest of the catalogue:

    .. math:: & \frac{n_u}{I} \rho(\cos_i - \beta_u) + \frac{I - n_u}{I} \mathrm{mean}_j\,
              \rho(\cos_j - \beta_u), \\ & \rho(x) = \max\big((1 - K/I)\,x, -(K/I)\,x\big)

    is added to :func:`psl.losses.talos_loss`; it has a gradient in the quantiles alone, and is
    least at the K-th largest cosine.  The authors' code takes all of a user's positives in each
    row: over an epoch the same gradient.  ``tau``, ``k`` and ``quantile_lr``, the step size of the
    quantiles by Adam, are positive.

    Raises ValueError if ``setup`` is not told the pairs.
    """

    needs_ids = True
    settings = ("tau", "k", "quantile_lr")
    num_items: int

    def __init__(
        self,
        tau: float = 0.1,
        *,
        k: int = 20,
        quantile_lr: float = 1e-3,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        check_positive(sync=True, tau=tau, quantile_lr=quantile_lr)
        check_at_least(1, k=k)
        self.tau, self.k, self.quantile_lr = tau, k, quantile_lr
        self.register_parameter("quantiles", None)
        self.register_buffer("degrees", None, persistent=False)

    def setup(self, training: TrainingSetup) -> None:
        """Create the quantiles and their optimiser."""
        if training.pairs is None:
            raise ValueError("TalosLoss needs the setup's pairs: how many each user has")
        self.num_items, self.share = training.num_items, min(1.0, self.k / training.num_items)
        degrees = torch.from_numpy(training.pairs.degrees)
        self.register_buffer("degrees", degrees, persistent=False)
        self.quantiles = nn.Parameter(torch.zeros(training.num_users, 1))
        self.optimizers = [torch.optim.Adam([self.quantiles], lr=self.quantile_lr)]

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss; without ids every quantile is 0, and none is learned."""
        if batch is None:
            return talos_loss(positive, negative, self.tau, reduction=self.reduction)
        positive, negative = check_scores(positive, negative)
        quantile = lookup(batch.users, self.created("quantiles")).squeeze(1).to(positive)
        value = talos_loss(positive, negative, self.tau, quantile, reduction="none")
        part = self.created("degrees")[batch.users].to(positive) / self.num_items
        cosines = 2 * positive.detach(), 2 * negative.detach()
        own = pinball(cosines[0], quantile, self.share)
        others = pinball(cosines[1], quantile.unsqueeze(-1), self.share).mean(dim=-1)
        return reduce(value + part * own + (1 - part) * others, self.reduction)
