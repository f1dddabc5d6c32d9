"""AdvInfoNCE: an adversary weighs the negatives, the model answers."""

import math

import torch
from torch import Tensor, nn

from psl.losses.base import Reduction, check_at_least, check_positive, check_scores, reduce
from psl.losses.stateful import Batch, StatefulLoss, TrainingSetup, UpdateTarget
from psl.ops import lookup, sampled_scores

__all__ = ["AdvInfoNCELoss", "adv_infonce_loss"]


def adv_infonce_loss(
    positive: Tensor,
    negative: Tensor,
    tau: float = 0.1,
    hardness: Tensor | None = None,
    *,
    factor: float = 64.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""AdvInfoNCE of Zhang et al. (2023).

    .. math:: -\log \frac{e^{f_i/\tau}}{e^{f_i/\tau} + K \sum_j N p_j e^{f_j/\tau}},
              \quad p = \mathrm{softmax}(g)

    Scores, ``tau``, ``reduction``, result and errors as :func:`psl.pairwise_softmax_loss`.

    Parameters
    ----------
    hardness : Tensor, shape (B, N), optional
        The adversary's logits ``g``; without them all negatives weigh the same.
    factor : float
        ``K``, the weight of the negatives against the positive; positive.
    """
    positive, negative = check_scores(positive, negative)
    check_positive(tau=tau, factor=factor)
    term = negative / tau
    if hardness is not None:
        if hardness.shape != negative.shape:
            raise ValueError(f"hardness must have the shape of negative, {tuple(negative.shape)}")
        _, hardness = check_scores(positive, hardness)
        term = term + torch.log_softmax(hardness, dim=-1) + math.log(negative.shape[1])
    own = positive / tau
    rest = torch.logsumexp(term, dim=-1) + math.log(factor)
    return reduce(torch.logaddexp(own, rest) - own, reduction)


class AdvInfoNCELoss(StatefulLoss):
    """AdvInfoNCE with its adversary: tables of users and items whose scores are the hardness.

    Every fifth epoch the adversary climbs the loss, with an Adam of its own.  As its authors define
    it, hardness is an inner product, the adversary's pass comes in addition to the model's, and
    there are at most ``limit`` of them.

    Parameters
    ----------
    tau, adversary_lr : float
        Positive.
    interval, limit : int
        Epochs from one adversarial pass to the next, at least 1; how many there are at most.
    dim : int
        Size of the adversary's embeddings, at least 1.
    """

    needs_ids = True
    settings = ("tau", "adversary_lr", "interval", "limit", "dim")

    def __init__(
        self,
        tau: float = 0.1,
        *,
        adversary_lr: float = 5e-5,
        interval: int = 5,
        limit: int = 20,
        dim: int = 64,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        check_positive(sync=True, tau=tau, adversary_lr=adversary_lr)
        check_at_least(1, interval=interval, dim=dim)
        check_at_least(0, limit=limit)
        self.register_parameter("user", None)
        self.register_parameter("item", None)
        self.tau, self.adversary_lr = tau, adversary_lr
        self.interval, self.limit, self.dim = interval, limit, dim

    def setup(self, training: TrainingSetup) -> None:
        """Create the adversary and its optimiser."""
        sizes = training.num_users, training.num_items
        tables = [self.table(rows, training.generator) for rows in sizes]
        self.user, self.item = tables
        self.optimizers = [torch.optim.Adam(tables, lr=self.adversary_lr, maximize=True)]

    def table(self, rows: int, generator: torch.Generator) -> nn.Parameter:
        """Return initial embeddings (rows, dim), Gaussian with Xavier's variance."""
        std = math.sqrt(2 / (rows + self.dim))
        return nn.Parameter(torch.randn(rows, self.dim, generator=generator) * std)

    def update_schedule(self, epoch: int) -> tuple[UpdateTarget, ...]:
        """Return the adversary's pass before the model's where one is due."""
        # Epochs 3, 8, 13, ...: the schedule of its authors.  The count is of the passes before.
        due = epoch % self.interval == 3 % self.interval
        due = due and (epoch - 1) // self.interval < self.limit
        return ("loss", "model") if due else ("model",)

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss; without ids all negatives weigh the same."""
        hardness = None
        if batch is not None:
            if batch.negative is None:
                raise ValueError("AdvInfoNCELoss weighs sampled items: it needs their ids")
            hardness = sampled_scores(*self.adversary(batch.users), batch.negative)
        return adv_infonce_loss(positive, negative, self.tau, hardness, reduction=self.reduction)

    def adversary(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return its embeddings of ``users`` (B, dim) and of all items; hardness is the product."""
        return lookup(users, self.created("user")), self.created("item")
