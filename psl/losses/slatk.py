"""SL@K: the softmax loss, weighed by how near a positive is to its user's top K."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from psl.losses.base import Reduction, check_at_least, check_positive, check_scores, reduce
from psl.losses.stateful import Batch, EmbedFn, StatefulLoss, TrainingSetup
from psl.ops import sampled_scores

__all__ = ["SLatKLoss", "slatk_loss"]


def slatk_loss(
    positive: Tensor,
    negative: Tensor,
    tau: float | Tensor = 0.1,
    quantile: Tensor | float = 0.0,
    tau_weight: float | Tensor = 1.25,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Softmax loss at K of Yang et al. (KDD 2025), the follow-up of the PSL paper.

    .. math:: \mathrm{sigmoid}\Big(\frac{f_i - \beta_u}{\tau_w}\Big)
              \log \sum_j e^{(f_j - f_i)/\tau}

    ``beta_u`` is the score of the user's K-th best item: a positive far below the list weighs
    little, for moving it does not change the list's first K places.  Scores, ``tau``,
    ``reduction``, result and errors as :func:`psl.pairwise_softmax_loss`.

    Parameters
    ----------
    quantile : Tensor of shape (B,) or (), or float
        ``beta_u`` of each row.
    tau_weight : float, or Tensor of one number
        Temperature of the weight, on the scale of the scores.
    """
    positive, negative = check_scores(positive, negative)
    tau, tau_weight = check_positive(tau=tau, tau_weight=tau_weight)
    if isinstance(quantile, Tensor) and quantile.ndim and quantile.shape != positive.shape:
        raise ValueError(
            f"quantile must be one number, or one a row {tuple(positive.shape)}, "
            f"got {tuple(quantile.shape)}"
        )
    quantile = quantile.to(positive.dtype) if isinstance(quantile, Tensor) else quantile
    weight = torch.sigmoid((positive - quantile) / tau_weight)
    softmax = torch.logsumexp((negative - positive.unsqueeze(-1)) / tau, dim=-1)
    return reduce(weight * softmax, reduction)


class SLatKLoss(StatefulLoss):
    """SL@K with each user's quantile taken from the full ranking every ``refresh`` epochs.

    Parameters
    ----------
    tau, tau_weight : float
        Positive.
    refresh : int
        Epochs from one look at the model to the next, at least 1; before the first the quantile is
        0.
    k : int
        At least 1.
    """

    needs_ids = True
    settings: ClassVar[tuple[str, ...]] = ("tau", "tau_weight", "refresh", "k")

    def __init__(
        self,
        tau: float = 0.1,
        tau_weight: float = 1.25,
        refresh: int = 20,
        *,
        k: int = 20,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        self.tau, self.tau_weight, self.refresh, self.k = tau, tau_weight, refresh, k
        check_positive(sync=True, tau=self.tau, tau_weight=self.tau_weight)
        check_at_least(1, refresh=self.refresh, k=self.k)
        self.register_buffer("quantile", None)

    def setup(self, training: TrainingSetup) -> None:
        """Create the quantiles, one for each user."""
        self.register_buffer("quantile", torch.zeros(training.num_users))

    @torch.no_grad()
    def on_epoch_start(self, epoch: int, encode: Callable[[], EmbedFn]) -> None:
        """Take the score of each user's K-th best item."""
        if epoch == 1 or (epoch - 1) % self.refresh:
            return
        embed, quantile = encode(), self.created("quantile")
        for users in torch.arange(len(quantile), device=quantile.device).split(512):
            u, items = embed(users)
            scores = self.candidates(users, sampled_scores(u, items, None), epoch)
            k = min(self.k, scores.shape[1])
            quantile[users] = scores.topk(k, dim=1).values[:, -1].to(quantile)

    def candidates(self, users: Tensor, scores: Tensor, epoch: int) -> Tensor:
        """Return the scores among which the K-th best is looked for: those of all items (B, I)."""
        return scores

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss; without ids every quantile is 0."""
        quantile = 0.0 if batch is None else self.created("quantile")[batch.users]
        return slatk_loss(
            positive, negative, self.tau, quantile, self.tau_weight, reduction=self.reduction
        )
