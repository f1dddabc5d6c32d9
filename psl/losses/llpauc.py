"""LLPAUC: lower-left partial AUC, a game of a few scalars against the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from psl.activations import softplus
from psl.losses.base import Reduction, check_positive, check_scores, format_extra_repr, reduce
from psl.losses.stateful import Batch, StatefulLoss

__all__ = ["LLPAUCLoss"]

SHARPNESS = 5.0  # of the smooth hinge r(x) = softplus(5 x) / 5


def _scalar(value: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(value))


class LLPAUCLoss(StatefulLoss):
    r"""Lower-left partial AUC surrogate of Shi et al. (2024).

    .. math:: \min_{\theta, a, b, s^-} \max_{\gamma, s^+}\;
        -s^+ - \tfrac1\alpha \mathrm{mean}_i\, r(-\ell^+_i - s^+)
        + s^- + \tfrac1\beta \mathrm{mean}_{ij}\, r(\ell^-_j - s^-) - \gamma^2

    with ``l+ = (p - a)^2 - 2 (1 + gamma) p``, ``l- = (n - b)^2 + 2 (1 + gamma) n`` of the scores
    ``p, n = sigmoid(cos)`` and ``gamma`` in ``[max(-a, b - 1), 1]``.  ``a`` and ``b`` estimate the
    mean score of positives and negatives, ``s+`` and ``s-`` are the quantiles that cut the curve.

    Scores come on the scale ``f = cos / 2``, so the sigmoid takes ``2 f``.  The formula is a mean
    over the batch, and what it has of the scalars alone stands in the loss of every row: the mean
    is the formula, and ``reduction="sum"`` is B times the formula, scalars included.

    Parameters
    ----------
    alpha, beta : float
        Parts of the positives and of the negatives that count, in (0, 1].
    as_released : bool
        As the paper's public code: every scalar, also ``gamma`` and ``s+``, is *descended*, with
        the model's weight decay and step size, twice that for ``gamma`` and the quantiles; two
        multipliers of gamma's range are added that nothing bounds; and the model's embeddings
        begin with a spread of 0.01.
    scalar_lr : float
        Step size of the scalars where they play their own side; twice that for ``gamma`` and the
        quantiles.  Positive.

    Raises
    ------
    ValueError
        If ``alpha`` or ``beta`` is outside (0, 1], or ``scalar_lr`` is not positive.
    """

    def __init__(
        self,
        alpha: float = 0.7,
        beta: float = 0.01,
        as_released: bool = False,
        *,
        scalar_lr: float = 1e-3,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        self.alpha, self.beta = alpha, beta
        check_positive(scalar_lr=scalar_lr)
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} must lie in (0, 1], got {value}")
        self.as_released, self.scalar_lr = as_released, scalar_lr
        self.a, self.b = _scalar(1.0), _scalar(0.0)
        self.s_pos, self.s_neg, self.gamma = _scalar(0.5), _scalar(0.5), _scalar(0.0)
        self.init_std = 0.01 if as_released else None
        if as_released:
            self.theta_a, self.theta_b = _scalar(0.5), _scalar(0.5)

    def extra_repr(self) -> str:
        """Show the settings in ``print(loss)``."""
        return format_extra_repr(self, "alpha", "beta", "as_released", "scalar_lr", "reduction")

    def setup(
        self,
        num_users: int,
        num_items: int,
        *,
        lr: float,
        weight_decay: float,
        generator: torch.Generator,
    ) -> None:
        """Create the optimisers of the scalars."""
        slow, fast = [self.a, self.b], [self.gamma, self.s_pos]
        if self.as_released:
            slow, fast = [*slow, self.theta_a, self.theta_b], [*fast, self.s_neg]
            groups = [{"params": slow, "lr": lr}, {"params": fast, "lr": 2 * lr}]
            self.optimizers = [torch.optim.Adam(groups, weight_decay=weight_decay)]
            return
        step = self.scalar_lr
        down = [{"params": slow, "lr": step}, {"params": [self.s_neg], "lr": 2 * step}]
        self.optimizers = [
            torch.optim.Adam(down),
            torch.optim.Adam(fast, lr=2 * step, maximize=True),
        ]

    @torch.no_grad()
    def project(self) -> None:
        """Put every scalar back into its range."""
        self.a.clamp_(0, 1)
        self.b.clamp_(0, 1)
        self.s_pos.clamp_(-1, 4)
        self.s_neg.clamp_(0, 5)
        self.gamma.clamp_(max=1).clamp_(min=torch.maximum(-self.a, self.b - 1))

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``; rows average to it.

        The value is at least float32.  Raises ValueError as :func:`check_scores`.
        """
        positive, negative = check_scores(positive, negative)

        def hinge(x: Tensor) -> Tensor:
            return softplus(SHARPNESS * x) / SHARPNESS

        p, n = torch.sigmoid(2 * positive), torch.sigmoid(2 * negative)
        above, below = (p - self.a) ** 2, (n - self.b) ** 2
        lift = 2 * (1 + self.gamma)
        gain = hinge(lift * p - above - self.s_pos) / self.alpha
        cost = hinge(below + lift * n - self.s_neg).mean(dim=-1) / self.beta
        value = cost - gain + self.s_neg - self.s_pos - self.gamma**2
        if self.as_released:
            value = value + self.theta_a * (self.a + self.gamma)
            value = value + self.theta_b * (self.gamma + 1 - self.b)
        return reduce(value, self.reduction)
