"""SogCLR: the softmax loss with a moving average over the steps in place of a batch's sum."""

import math

import torch
from torch import Tensor

from psl.losses.base import Reduction, check_positive, check_scores, check_share, reduce
from psl.losses.stateful import Batch, StatefulLoss, TrainingSetup, UpdateTarget

__all__ = ["SogCLRLoss"]


class SogCLRLoss(StatefulLoss):
    r"""Softmax loss that divides by a moving average of its denominator (Yuan et al. 2022).

    .. math:: -\frac{f_i}{\tau} + \frac{\hat g}{g_u}, \quad
              \hat g = \mathrm{mean}_j\, e^{f_j/\tau}, \quad
              g_u \leftarrow (1 - \gamma) g_u + \gamma \hat g

    The average ``g_u`` of a user is held fixed in the gradient, and begins with the first ``g``
    that is seen.  So few negatives a step may do: the denominator remembers those of other steps.
    With ``gamma = 1``, and without ids, the gradient is that of the softmax loss; the value is
    another.  A row has the average after its own ``g``; where a user has several in a batch, the
    last one's is kept.

    Parameters
    ----------
    tau : float
        Positive.
    gamma : float
        Weight of a new ``g``, in (0, 1].
    """

    needs_ids = True
    coupled_rows = True  # an average takes a batch in once
    settings = ("tau", "gamma")

    def __init__(
        self, tau: float = 0.1, gamma: float = 0.9, *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        check_positive(sync=True, tau=tau)
        check_share(gamma=gamma)
        self.tau, self.gamma = tau, gamma
        self.register_buffer("log_average", None)
        self.seen: tuple[Tensor, Tensor] | None = None

    def setup(self, training: TrainingSetup) -> None:
        """Create the averages, one for each user; ``-inf``, their logarithm, says: none yet."""
        self.register_buffer("log_average", torch.full((training.num_users,), -math.inf))

    def update_schedule(self, epoch: int) -> tuple[UpdateTarget, ...]:
        """Return that each batch is for the model and for the averages."""
        return ("both",)

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss; the averages take it in with :meth:`optimizer_step`."""
        positive, negative = check_scores(positive, negative)
        return reduce(self.push(negative, batch) - positive / self.tau, self.reduction)

    def push(self, negative: Tensor, batch: Batch | None) -> Tensor:
        """Return the term of the negatives (B, N), of each row (B,)."""
        log_mean = torch.logsumexp(negative / self.tau, dim=-1) - math.log(negative.shape[1])
        now = log_mean.detach()
        if batch is not None:
            before = self.created("log_average")[batch.users].to(now)
            old = math.log1p(-self.gamma) if self.gamma < 1 else -math.inf
            mixed = torch.logaddexp(before + old, now + math.log(self.gamma))
            now = torch.where(before.isneginf(), now, mixed)
            self.seen = batch.users, now
        return (log_mean - now).exp()

    @torch.no_grad()
    def optimizer_step(self) -> None:
        """Let the averages take in the batch of the last call."""
        if self.seen is not None:
            (users, now), self.seen = self.seen, None
            # To write a user's rows one over the other has no order on a GPU.
            row = torch.arange(len(users), device=users.device)
            average = self.created("log_average")
            last = torch.zeros_like(average, dtype=torch.int64)
            last.scatter_reduce_(0, users, row, "amax")
            average[users] = now[last[users]].to(average)
        super().optimizer_step()
