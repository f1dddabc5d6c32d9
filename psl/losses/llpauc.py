"""LLPAUC: lower-left partial AUC, a game of a few scalars against the model."""

import torch
from torch import Tensor, nn

from psl.activations import log1p_exp
from psl.losses.base import Reduction, check_positive, check_scores, check_share, reduce
from psl.losses.stateful import StatefulLoss, TrainingSetup

__all__ = ["LLPAUCLoss", "scalar"]

SHARPNESS = 5.0  # of the smooth hinge r(x) = log(1 + exp(5 x)) / 5


def scalar(value: float) -> nn.Parameter:
    """Return a parameter without dimensions."""
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
    scalar_lr : float
        Step size of the scalars; twice that for ``gamma`` and the quantiles.  Positive.
    """

    settings = ("alpha", "beta", "scalar_lr")

    def __init__(
        self,
        alpha: float = 0.7,
        beta: float = 0.01,
        *,
        scalar_lr: float = 1e-3,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        self.alpha, self.beta = alpha, beta
        check_positive(scalar_lr=scalar_lr)
        check_share(alpha=alpha, beta=beta)
        self.scalar_lr = scalar_lr
        self.a, self.b = scalar(1.0), scalar(0.0)
        self.s_pos, self.s_neg, self.gamma = scalar(0.5), scalar(0.5), scalar(0.0)

    def setup(self, training: TrainingSetup) -> None:
        """Create the optimisers of the scalars."""
        slow, fast = self.scalar_lr, 2 * self.scalar_lr
        down = [{"params": [self.a, self.b], "lr": slow}, {"params": [self.s_neg], "lr": fast}]
        self.optimizers = [
            torch.optim.Adam(down),
            torch.optim.Adam([self.gamma, self.s_pos], lr=fast, maximize=True),
        ]

    @torch.no_grad()
    def optimizer_step(self) -> None:
        """Update the scalars, and put each back into its range."""
        super().optimizer_step()
        self.a.clamp_(0, 1)
        self.b.clamp_(0, 1)
        self.s_pos.clamp_(-1, 4)
        self.s_neg.clamp_(0, 5)
        self.gamma.clamp_(max=1).clamp_(min=torch.maximum(-self.a, self.b - 1))

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``; rows average to it.

        The value is at least float32.  Raises ValueError as :func:`check_scores`.
        """
        return reduce(self.rows(positive, negative), self.reduction)

    def rows(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of each row (B,)."""
        positive, negative = check_scores(positive, negative)

        def hinge(x: Tensor) -> Tensor:
            return log1p_exp(SHARPNESS * x) / SHARPNESS

        p, n = torch.sigmoid(2 * positive), torch.sigmoid(2 * negative)
        above, below = (p - self.a) ** 2, (n - self.b) ** 2
        lift = 2 * (1 + self.gamma)
        gain = hinge(lift * p - above - self.s_pos) / self.alpha
        cost = hinge(below + lift * n - self.s_neg).mean(dim=-1) / self.beta
        return cost - gain + self.s_neg - self.s_pos - self.gamma**2
