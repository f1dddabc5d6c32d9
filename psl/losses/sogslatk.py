"""SogSL@K: SL@K with SogCLR's moving average."""

import torch
from torch import Tensor

from psl.losses.base import Reduction, check_scores, reduce
from psl.losses.slatk import SLatKLoss
from psl.losses.sogclr import SogCLRLoss
from psl.losses.stateful import Batch, TrainingSetup, UpdateTarget

__all__ = ["SogSLatKLoss"]


class SogSLatKLoss(SLatKLoss):
    r"""SL@K with SogCLR's moving average (the public code of Yang et al., KDD 2025).

    .. math:: -w_i \frac{f_i}{\tau} + \frac{\hat g}{g_u}, \quad
              w_i \propto \mathrm{sigmoid}\Big(\frac{f_i - \beta_u}{\tau_w}\Big)

    The weights have the mean 1 over the batch and are held fixed in the gradient; they are on the
    positives alone.  Parameters and errors as :class:`SLatKLoss` and :class:`SogCLRLoss`.
    """

    coupled_rows = True
    settings = (*SLatKLoss.settings, "gamma")

    def __init__(
        self,
        tau: float = 0.1,
        tau_weight: float = 1.25,
        refresh: int = 20,
        gamma: float = 0.9,
        *,
        k: int = 20,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(tau, tau_weight, refresh, k=k, reduction=reduction)
        self.gamma, self.average = gamma, SogCLRLoss(tau, gamma)

    def setup(self, training: TrainingSetup) -> None:
        """Create the quantiles and the averages."""
        super().setup(training)
        self.average.setup(training)

    def update_schedule(self, epoch: int) -> tuple[UpdateTarget, ...]:
        """Return that each batch is for the model and for the averages."""
        return self.average.update_schedule(epoch)

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss; without ids every quantile is 0, and no average is taken."""
        positive, negative = check_scores(positive, negative)
        quantile = 0.0 if batch is None else self.created("quantile")[batch.users].to(positive)
        weight = torch.sigmoid((positive.detach() - quantile) / self.tau_weight)
        pull = weight / weight.mean() * positive / self.tau
        return reduce(self.average.push(negative, batch) - pull, self.reduction)

    def optimizer_step(self) -> None:
        """Let the averages take in the batch of the last call."""
        self.average.optimizer_step()
        super().optimizer_step()
