"""Softmax loss and pairwise softmax loss: the log of a sum over the compared items."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from psl.activations import get_activation
from psl.losses.base import Reduction, check_positive, check_scores, reduce

__all__ = ["PairwiseSoftmaxLoss", "SoftmaxLoss", "pairwise_softmax_loss", "softmax_loss"]

Form = Literal["outside", "inside"]
Correction = Literal["sum", "mean"]


def pairwise_softmax_loss(
    positive: Tensor,
    negative: Tensor,
    tau: float = 0.1,
    activation: str = "relu",
    *,
    form: Form = "outside",
    correction: Correction = "sum",
    log_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Pairwise softmax loss, ``log sum_j sigma(d_j)^(1/tau)`` (equation 4.1).

    Parameters
    ----------
    positive : Tensor, shape (B,)
        Scores of the positives, on the scale ``f = cos / 2``.
    negative : Tensor, shape (B, N)
        Scores of the items each positive is compared with, same scale.
    tau : float
        Temperature, positive.
    activation : {"exp", "tanh", "atan", "relu", "softplus"}
        The surrogate ``sigma``; ``"exp"`` is the softmax loss.
    form : {"outside", "inside"}
        ``sigma(d)^(1/tau)`` (4.1) or ``sigma(d / tau)`` (Appendix C.3).
    correction : {"sum", "mean"}
        ``"mean"`` subtracts ``log N``: the log of the mean instead of the sum.
    log_weight : Tensor, broadcastable to (B, N), optional
        Added to each term's logarithm, e.g. minus the log of the sampling probability.  ``-inf``
        removes an item; a row needs at least one item left.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        Scalar, or shape (B,) for ``reduction="none"``, in nats.

    Raises
    ------
    ValueError
        For wrong shapes, an unknown name or a temperature that is not positive.

    Examples
    --------
    >>> import torch
    >>> pairwise_softmax_loss(torch.tensor([0.4]), torch.tensor([[0.1, -0.2]]), tau=0.1)
    tensor(-3.4955)
    """
    check_scores(positive, negative)
    check_positive(tau=tau)
    if form not in ("outside", "inside"):
        raise ValueError(f"form must be 'outside' or 'inside', got {form!r}")
    if correction not in ("sum", "mean"):
        raise ValueError(f"correction must be 'sum' or 'mean', got {correction!r}")
    log_sigma = get_activation(activation).log
    d = negative - positive.unsqueeze(-1)
    # Half precision has too few digits for 1/tau times a logarithm near zero.
    d = d.float() if d.dtype in (torch.bfloat16, torch.float16) else d
    term = log_sigma(d) / tau if form == "outside" else log_sigma(d / tau)
    if log_weight is not None:
        term = term + log_weight
    value = torch.logsumexp(term, dim=-1)
    if correction == "mean":
        value = value - math.log(negative.shape[-1])
    return reduce(value, reduction)


def softmax_loss(
    positive: Tensor,
    negative: Tensor,
    tau: float = 0.1,
    *,
    correction: Correction = "sum",
    log_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Softmax loss in its pairwise form, ``log sum_j exp(d_j / tau)`` (equation 3.1).

    It is :func:`pairwise_softmax_loss` with ``activation="exp"``; arguments as there.
    """
    return pairwise_softmax_loss(
        positive,
        negative,
        tau,
        "exp",
        correction=correction,
        log_weight=log_weight,
        reduction=reduction,
    )


class PairwiseSoftmaxLoss(nn.Module):
    """Module form of :func:`pairwise_softmax_loss`, which documents the arguments."""

    def __init__(
        self,
        tau: float = 0.1,
        activation: str = "relu",
        *,
        form: Form = "outside",
        correction: Correction = "sum",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_positive(tau=tau)
        get_activation(activation)
        self.tau, self.activation = tau, activation
        self.form: Form = form
        self.correction: Correction = correction
        self.reduction: Reduction = reduction

    def forward(
        self, positive: Tensor, negative: Tensor, log_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        return pairwise_softmax_loss(
            positive,
            negative,
            self.tau,
            self.activation,
            form=self.form,
            correction=self.correction,
            log_weight=log_weight,
            reduction=self.reduction,
        )

    @property
    def fused(self) -> tuple[float, str, float] | None:
        """Temperature, activation and factor, where scores and loss may be taken in one pass."""
        plain = self.form == "outside" and self.correction == "sum" and self.reduction != "sum"
        return (self.tau, self.activation, 1.0) if plain else None

    def extra_repr(self) -> str:
        """Show the settings in ``print(loss)``."""
        return f"tau={self.tau}, activation={self.activation!r}, form={self.form!r}"


class SoftmaxLoss(PairwiseSoftmaxLoss):
    """Module form of :func:`softmax_loss`."""

    def __init__(
        self,
        tau: float = 0.1,
        *,
        correction: Correction = "sum",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(tau, "exp", correction=correction, reduction=reduction)
