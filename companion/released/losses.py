"""The losses that the paper's public code has in another form than their authors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from psl.losses import (
    AdvInfoNCELoss,
    Batch,
    BSLLoss,
    LambdaLoss,
    LLPAUCLoss,
    LossSpec,
    TrainingSetup,
    UpdateTarget,
)
from psl.losses.base import Reduction, check_positive, has_builtin_forward
from psl.losses.llpauc import scalar
from psl.ops import FusedSpec

__all__ = [
    "RELEASED_LOSSES",
    "ReleasedAdvInfoNCELoss",
    "ReleasedBSLLoss",
    "ReleasedLLPAUCLoss",
]


class ReleasedBSLLoss(BSLLoss):
    """BSL in which no row shares its positives: ``tau2 / tau`` times the softmax loss at tau2."""

    needs_ids = False

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        return super().forward(positive, negative)

    @property
    def fused(self) -> FusedSpec | None:
        """What is fused; ``None`` where that would not be what :meth:`__call__` returns."""
        plain = all(isinstance(t, (int, float)) for t in (self.tau, self.tau2))
        plain = plain and self.reduction != "sum"
        if not (plain and has_builtin_forward(self, ReleasedBSLLoss)):
            return None
        check_positive(tau=self.tau, tau2=self.tau2)  # they may have been set since
        return FusedSpec(self.tau2, "exp", self.tau2 / self.tau)


class ReleasedAdvInfoNCELoss(AdvInfoNCELoss):
    """AdvInfoNCE whose hardness is a cosine, and whose adversary takes the model's passes.

    There is no limit to them, the adversary's tables begin standard normal, and the model's weight
    decay acts on them.
    """

    def setup(self, training: TrainingSetup) -> None:
        """Create the adversary and its optimiser."""
        super().setup(training)
        for group in self.optimizers[0].param_groups:
            group["weight_decay"] = training.weight_decay

    def table(self, rows: int, generator: torch.Generator) -> nn.Parameter:
        """Return initial embeddings (rows, dim), standard normal."""
        return nn.Parameter(torch.randn(rows, self.dim, generator=generator))

    def update_schedule(self, epoch: int) -> tuple[UpdateTarget, ...]:
        """Return the adversary's pass in place of the model's, every ``interval`` epochs."""
        return ("loss",) if epoch % self.interval == 0 else ("model",)

    def adversary(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return its embeddings of ``users`` and of all items, each of length 1."""
        own, items = super().adversary(users)
        return normalize(own, dim=1), normalize(items, dim=1)


class ReleasedLLPAUCLoss(LLPAUCLoss):
    """LLPAUC that descends in every scalar, also in ``gamma`` and ``s+``.

    The scalars take the model's step size, twice that for ``gamma`` and the quantiles, and its
    weight decay.  Two multipliers of gamma's range are added that nothing bounds.

    Parameters
    ----------
    alpha, beta, reduction
        As :class:`psl.losses.LLPAUCLoss`.
    """

    def __init__(
        self, alpha: float = 0.7, beta: float = 0.01, *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(alpha, beta, reduction=reduction)
        self.theta_a, self.theta_b = scalar(0.5), scalar(0.5)

    def setup(self, training: TrainingSetup) -> None:
        """Create the optimiser of the scalars."""
        slow = [self.a, self.b, self.theta_a, self.theta_b]
        fast, lr = [self.gamma, self.s_pos, self.s_neg], training.lr
        groups = [{"params": slow, "lr": lr}, {"params": fast, "lr": 2 * lr}]
        self.optimizers = [torch.optim.Adam(groups, weight_decay=training.weight_decay)]

    def rows(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of each row (B,)."""
        value = super().rows(positive, negative) + self.theta_a * (self.a + self.gamma)
        return value + self.theta_b * (self.gamma + 1 - self.b)


RELEASED_LOSSES: dict[str, LossSpec] = {
    "advinfonce": LossSpec(ReleasedAdvInfoNCELoss),
    "bsl": LossSpec(ReleasedBSLLoss, options=("tau2",)),
    # The first term of a difference, and a rank in place of its discount.
    "lambdaloss": LossSpec(lambda tau: LambdaLoss("gap-first"), score="inner", tau=False),
    "lambdaloss@k": LossSpec(
        lambda tau, k=20: LambdaLoss("gap-first", k), score="inner", options=("k",), tau=False
    ),
    # It draws the embeddings of any backbone anew.
    "llpauc": LossSpec(
        lambda tau, **own: ReleasedLLPAUCLoss(**own),
        init_std=0.01,
        options=("alpha", "beta"),
        tau=False,
    ),
}
