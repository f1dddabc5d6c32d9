"""Softmax loss (3.1) and pairwise softmax loss (4.1): the log of a sum over the compared items.

Here they are defined, as :func:`pairwise_softmax_loss`.  From embeddings :func:`psl.sampled_loss`
takes the same value in one pass, by what ``fused`` says: :mod:`psl.ops.fused_softmax` in torch, and
the kernels ``sampled`` and ``catalogue`` of :mod:`psl.kernels`.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from psl.activations import get_activation
from psl.losses.base import (
    Loss,
    Reduction,
    check_positive,
    check_scores,
    format_extra_repr,
    has_builtin_forward,
    reduce,
)
from psl.ops import FusedSpec
from psl.ops.precision import check_range

__all__ = ["PairwiseSoftmaxLoss", "SoftmaxLoss", "pairwise_softmax_loss", "softmax_loss"]

Form = Literal["outside", "inside"]
Correction = Literal["sum", "mean"]


def pairwise_softmax_loss(
    positive: Tensor,
    negative: Tensor,
    tau: float | Tensor = 0.1,
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
    tau : float, or Tensor of one number
        Temperature, positive.  A tensor may be learned: it gets its gradient.
    activation : {"exp", "tanh", "atan", "relu", "softplus"}
        The surrogate ``sigma``; ``"exp"`` is the softmax loss.
    form : {"outside", "inside"}
        ``sigma(d)^(1/tau)`` (4.1) or ``sigma(d / tau)`` (Appendix C.3).
    correction : {"sum", "mean"}
        ``"mean"`` subtracts the log of the number of items: the log of the mean instead of the
        sum.  An item that ``log_weight`` removes is not counted.
    log_weight : Tensor, broadcastable to (B, N), optional
        Added to each term's logarithm, in its dtype, e.g. minus the log of the sampling
        probability.  ``-inf`` removes an item, whatever its score.  A row with no item left is 0,
        has no gradient and is not counted in the mean.  Floating point: a mask is one of 0 and
        ``-inf``.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        Scalar, or shape (B,) for ``reduction="none"``, in nats.  Of the dtype of the scores, but at
        least float32: those in half precision are raised before they are subtracted.  The mean of
        an empty batch is 0.

    Raises
    ------
    ValueError
        For wrong shapes, scores or weights that are not floating point, an unknown name, a
        temperature that is not positive, or a weight that is NaN or ``+inf``.  What lies in a
        tensor on a GPU is not read, for that would wait for the device, nor is any while
        ``torch.compile`` traces: the loss is then not finite.

    Examples
    --------
    >>> import torch
    >>> pairwise_softmax_loss(torch.tensor([0.4]), torch.tensor([[0.1, -0.2]]), tau=0.1)
    tensor(-3.5630)
    """
    positive, negative = check_scores(positive, negative)
    tau, log_sigma = _check_settings(tau, form, correction), get_activation(activation).log
    d, counted = negative - positive.unsqueeze(-1), None
    log_count: Tensor | float = math.log(negative.shape[-1])
    if log_weight is not None:
        log_weight = _fitting(log_weight, d)
        left = log_weight != -math.inf
        d = d.masked_fill(~left, 0)
        counted, log_count = left.any(dim=-1), left.sum(dim=-1).clamp(min=1).to(d.dtype).log()
    term = log_sigma(d) / tau if form == "outside" else log_sigma(d / tau)
    if log_weight is not None and counted is not None:
        # An empty sum has no logarithm, and its gradient is NaN: another stands in for it.
        term = (term + log_weight).masked_fill(~counted.unsqueeze(-1), 0)
    value = torch.logsumexp(term, dim=-1)
    if correction == "mean":
        value = value - log_count
    if counted is not None:
        value = value.masked_fill(~counted, 0)
    return reduce(value, reduction, counted)


def _fitting(log_weight: Tensor, term: Tensor) -> Tensor:
    """Return the weights in dtype and shape of the terms; a ValueError if they do not fit."""
    if not log_weight.is_floating_point():
        what = "a bool mask" if log_weight.dtype == torch.bool else log_weight.dtype
        raise ValueError(f"log_weight must be floating point, got {what}; use 0 and -inf")
    log_weight = log_weight.to(term.dtype)
    read = log_weight.device.type == "cpu" and not torch.compiler.is_compiling()
    if read and not bool((log_weight < math.inf).all()):
        raise ValueError("log_weight must be a number or -inf, got NaN or inf")
    try:
        return log_weight.expand_as(term)
    except RuntimeError as error:
        raise ValueError(
            f"log_weight must broadcast to negative, {tuple(term.shape)}, "
            f"got {tuple(log_weight.shape)}"
        ) from error


def _check_settings(
    tau: float | Tensor, form: str, correction: str, *, sync: bool = False
) -> float | Tensor:
    """Return the temperature as :func:`check_positive` does; a ValueError for what is no name."""
    if form not in ("outside", "inside"):
        raise ValueError(f"form must be 'outside' or 'inside', got {form!r}")
    if correction not in ("sum", "mean"):
        raise ValueError(f"correction must be 'sum' or 'mean', got {correction!r}")
    return check_positive(sync=sync, tau=tau)[0]


def softmax_loss(
    positive: Tensor,
    negative: Tensor,
    tau: float | Tensor = 0.1,
    *,
    correction: Correction = "sum",
    log_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Softmax loss in its pairwise form (equation 3.1).

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


class PairwiseSoftmaxLoss(Loss):
    """Module form of :func:`pairwise_softmax_loss`, which documents the arguments and errors.

    A temperature that is an ``nn.Parameter`` becomes one of the module's.  It is checked when the
    module is made, wherever it lies, and later as the function checks it.  A step of an optimiser
    can make it negative, which a GPU is not asked about; its logarithm, ``log_tau``, may be any
    number, and where it is given ``tau`` is not used.

    With the attribute ``check_range``, which a trainer sets, it is warned once if the scores of the
    positives, or of the first item beside each, lie outside [-1/2, 1/2].  That costs next to
    nothing; scores on a GPU are not looked at.
    """

    check_range = False

    def __init__(
        self,
        tau: float | Tensor = 0.1,
        activation: str = "relu",
        *,
        form: Form = "outside",
        correction: Correction = "sum",
        log_tau: Tensor | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        _check_settings(tau if log_tau is None else log_tau.exp(), form, correction, sync=True)
        get_activation(activation)
        # A number of numpy's is a number: it is to be fused as any other.
        self.tau = tau if isinstance(tau, Tensor) else float(tau)
        self.log_tau = log_tau
        self.activation = activation
        self.form: Form = form
        self.correction: Correction = correction

    def forward(
        self, positive: Tensor, negative: Tensor, log_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        if self.check_range:
            check_range(positive, negative[:, :1])
        return pairwise_softmax_loss(
            positive,
            negative,
            self.tau if self.log_tau is None else self.log_tau.exp(),
            self.activation,
            form=self.form,
            correction=self.correction,
            log_weight=log_weight,
            reduction=self.reduction,
        )

    @property
    def fused(self) -> FusedSpec | None:
        """What is fused, where scores and loss may be taken in one pass.

        ``None`` where that would be another function than :meth:`__call__`: other settings, a
        temperature that is learned, a subclass with a ``forward`` of its own, hooks.
        """
        plain = self.form == "outside" and self.correction == "sum" and self.reduction != "sum"
        plain = plain and self.log_tau is None and has_builtin_forward(self, PairwiseSoftmaxLoss)
        if not plain or isinstance(self.tau, Tensor):
            return None
        # They may have been set since: an annealed temperature is.
        check_positive(tau=self.tau)
        get_activation(self.activation)
        return FusedSpec(self.tau, self.activation)

    def extra_repr(self) -> str:
        """Show the settings in ``print(loss)``."""
        tau = "tau" if self.log_tau is None else "log_tau"
        return format_extra_repr(self, tau, "activation", "form", "correction", "reduction")


class SoftmaxLoss(PairwiseSoftmaxLoss):
    """Module form of :func:`softmax_loss`."""

    def __init__(
        self,
        tau: float | Tensor = 0.1,
        *,
        correction: Correction = "sum",
        log_tau: Tensor | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(tau, "exp", correction=correction, log_tau=log_tau, reduction=reduction)
