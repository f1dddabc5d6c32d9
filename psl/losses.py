"""Ranking losses: scores in, one value per positive out.

A loss never sees users, items or embeddings.  ``positive`` has shape ``(B,)``, ``negative``
``(B, N)``; each row is one positive and the items it is compared with.  For the cosine losses the
scores are on the scale ``f = cos / 2`` of the paper, so that ``d = negative - positive`` lies in
[-1, 1] and ``tau`` is the temperature as printed there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from psl.activations import get_activation
from psl.errors import UnknownNameError

__all__ = [
    "LOSSES",
    "BPRLoss",
    "LossSpec",
    "PairwiseSoftmaxLoss",
    "SoftmaxLoss",
    "bpr_loss",
    "check_scores",
    "get_loss",
    "pairwise_softmax_loss",
    "reduce",
    "softmax_loss",
]

Reduction = Literal["mean", "sum", "none"]
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
    if not (tau > 0 and math.isfinite(tau)):
        raise ValueError(f"tau must be positive and finite, got {tau}")
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


def bpr_loss(positive: Tensor, negative: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Bayesian personalised ranking, mean over the negatives of ``log(1 + exp(d))`` (2.3).

    Scores are inner products, not cosines.  Shapes and errors as :func:`pairwise_softmax_loss`.
    """
    check_scores(positive, negative)
    return reduce(softplus(negative - positive.unsqueeze(-1)).mean(dim=-1), reduction)


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
        if not (tau > 0 and math.isfinite(tau)):
            raise ValueError(f"tau must be positive and finite, got {tau}")
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


class BPRLoss(nn.Module):
    """Module form of :func:`bpr_loss`."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        return bpr_loss(positive, negative, reduction=self.reduction)


@dataclass(frozen=True)
class LossSpec:
    """What a trainer must know about a named loss.

    Attributes
    ----------
    build : callable
        ``tau -> module`` with the loss's signature ``(positive, negative)``.
    score : {"cosine", "inner"}
        ``f = cos / 2`` or the plain inner product, in training and evaluation alike.
    negatives : int or None
        Items drawn for each positive where the loss fixes it (BPR: 1), else ``None``.
    """

    build: Callable[[float], nn.Module]
    score: Literal["cosine", "inner"] = "cosine"
    negatives: int | None = None


LOSSES: dict[str, LossSpec] = {
    "bpr": LossSpec(lambda tau: BPRLoss(), score="inner", negatives=1),
    "sl": LossSpec(SoftmaxLoss),
    "psl-tanh": LossSpec(lambda tau: PairwiseSoftmaxLoss(tau, "tanh")),
    "psl-atan": LossSpec(lambda tau: PairwiseSoftmaxLoss(tau, "atan")),
    "psl-relu": LossSpec(lambda tau: PairwiseSoftmaxLoss(tau, "relu")),
    "psl-softplus": LossSpec(lambda tau: PairwiseSoftmaxLoss(tau, "softplus")),
}


def get_loss(name: str) -> LossSpec:
    """Look a loss up by the name it has in the paper's tables.

    Raises
    ------
    UnknownNameError
        If no such loss is registered.
    """
    try:
        return LOSSES[name]
    except KeyError:
        raise UnknownNameError("loss", name, LOSSES) from None


def check_scores(positive: Tensor, negative: Tensor) -> None:
    """Refuse other shapes than (B,) and (B, N) with N > 0, with a ValueError."""
    if positive.ndim != 1 or negative.ndim != 2 or negative.shape[0] != positive.shape[0]:
        raise ValueError(
            "expected positive (B,) and negative (B, N), got "
            f"{tuple(positive.shape)} and {tuple(negative.shape)}"
        )
    if negative.shape[1] == 0:
        raise ValueError("each positive needs at least one item to be compared with (N = 0)")


def reduce(value: Tensor, reduction: Reduction) -> Tensor:
    """Reduce one value a row to what ``reduction`` names."""
    if reduction == "mean":
        return value.mean()
    if reduction == "sum":
        return value.sum()
    if reduction == "none":
        return value
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
