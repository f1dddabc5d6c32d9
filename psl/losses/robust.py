"""BPR over a KL ball around the uniform distribution: PSL with a radius instead of a temperature.

Theorem 4.2 turns one into the other: at the optimal temperature of a positive the robust loss is
that temperature times PSL, plus a constant.  One radius gives each positive a temperature of its
own, one temperature gives each positive a radius of its own; so the two losses differ in training.
"""

from torch import Tensor

from psl.activations import get_activation
from psl.dro import dual_value, temperature_for_radius
from psl.losses.base import Loss, Reduction, check_positive, check_scores, reduce
from psl.ops.once_differentiable import once_differentiable

__all__ = ["RobustBPRLoss", "robust_bpr_loss"]

FIRST_ONLY = (
    "the robust loss has a first derivative only; for a second, take psl.dro.dual_value at a "
    "temperature of psl.dro.temperature_for_radius"
)


def robust_bpr_loss(
    positive: Tensor,
    negative: Tensor,
    eta: float = 1.0,
    activation: str = "relu",
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return ``sup E_q[log sigma(d)]`` over ``KL(q || uniform) <= eta`` (Theorem 4.2).

    The temperature is solved for each positive and held fixed in the gradient, which the envelope
    theorem allows.  Solving takes 3 to 6 steps as a rule, and the whole five to ten times as long
    as :func:`pairwise_softmax_loss`, which documents the other arguments, result and errors; see
    :func:`psl.dro.temperature_for_radius`.  A row with a score that is not a number is NaN.

    Parameters
    ----------
    eta : float
        Radius of the ball in nats, positive; from ``log N`` on only the worst item counts.

    Raises
    ------
    RuntimeError
        If a second derivative is asked for: the temperature is held fixed in the first.
    """
    positive, negative = check_scores(positive, negative)
    check_positive(eta=eta)
    losses = get_activation(activation).log(negative - positive.unsqueeze(-1))
    tau = temperature_for_radius(losses.detach(), eta, check=False)
    value = dual_value(losses, eta, tau, check=False)
    return reduce(once_differentiable(value, FIRST_ONLY), reduction)


class RobustBPRLoss(Loss):
    """Module form of :func:`robust_bpr_loss`, which documents the arguments."""

    settings = ("eta", "activation")

    def __init__(
        self, eta: float = 1.0, activation: str = "relu", *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        check_positive(sync=True, eta=eta)
        get_activation(activation)
        self.eta, self.activation = eta, activation

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        settings = self.eta, self.activation
        return robust_bpr_loss(positive, negative, *settings, reduction=self.reduction)
