"""The losses that the paper's public code has in another form than their authors."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from psl.losses import (
    LOSSES,
    AdvInfoNCELoss,
    Batch,
    BSLLoss,
    LambdaLoss,
    LLPAUCLoss,
    LossSpec,
    SLatKLoss,
    SogSLatKLoss,
    TrainingSetup,
    UpdateTarget,
)
from psl.losses.base import Reduction, check_positive, has_builtin_forward
from psl.losses.llpauc import scalar
from psl.negatives import UniformNegatives
from psl.ops import FusedSpec
from psl.streams import stream_key

__all__ = [
    "RELEASED_LOSSES",
    "SAMPLED_QUANTILES",
    "ReleasedAdvInfoNCELoss",
    "ReleasedBSLLoss",
    "ReleasedLLPAUCLoss",
    "SampledSLatKLoss",
    "SampledSogSLatKLoss",
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


class SampledSLatKLoss(SLatKLoss):
    """SL@K with quantiles among the user's positives and sampled items, as in its public code.

    As many other items are drawn as for a positive, here before an epoch, there while it trains.
    The K-th best of them scores lower than the K-th best of all; a user for whom there are fewer
    than K has the quantile ``-inf``, and weights of 1.

    Raises as :class:`psl.losses.SLatKLoss`, and ValueError if ``setup`` is not told the pairs, and
    how many items are drawn.
    """

    def setup(self, training: TrainingSetup) -> None:
        """Create the quantiles, and what draws."""
        super().setup(training)
        if training.pairs is None or training.negatives is None:
            raise ValueError("a sampled quantile needs the setup's pairs and negatives")
        # The same draws after a stop: they depend on the run and the epoch alone.
        self.root = int(torch.randint(1 << 62, (), generator=training.generator))
        self.pairs, self.count = training.pairs, training.negatives
        self.sampler = cache(partial(UniformNegatives, training.pairs))

    def candidates(self, users: Tensor, scores: Tensor, epoch: int) -> Tensor:
        """Return the scores of positives, ``-inf`` in place of others, and of what is drawn."""
        key = stream_key(self.root, epoch, int(users[0]))
        drawn = self.sampler(users.device).sample(users, self.count, key)
        own = scores.masked_fill(~self.pairs.mask(users), -math.inf)
        return torch.cat([own, scores.gather(1, drawn)], dim=1)


class SampledSogSLatKLoss(SampledSLatKLoss, SogSLatKLoss):
    """SogSL@K with the quantiles of :class:`SampledSLatKLoss`."""


# The losses that a switch of their own, ``sampled_quantile``, turns into another.
SAMPLED_QUANTILES: dict[str, LossSpec] = {
    name: replace(LOSSES[name], build=loss)
    for name, loss in (("sl@k", SampledSLatKLoss), ("sogsl@k", SampledSogSLatKLoss))
}
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
