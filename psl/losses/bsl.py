"""Bilateral softmax loss: a soft maximum over negatives, and one over a user's positives."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from psl.losses.base import (
    Reduction,
    as_scalar,
    check_positive,
    check_reduction,
    check_scores,
    format_extra_repr,
    reduce,
)
from psl.losses.stateful import Batch

__all__ = ["BSLLoss", "bsl_loss"]


def bsl_loss(
    positive: Tensor,
    negative: Tensor,
    tau: float | Tensor = 0.1,
    tau2: float | Tensor = 0.1,
    group: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Bilateral softmax loss of Wu et al. (2024), divided by ``tau``.

    .. math:: -\log \mathrm{mean}_{i' \in G(i)} e^{f_{i'}/\tau}
              + (\tau_2/\tau) \log \sum_j e^{f_j/\tau_2}

    ``G(i)`` are the positives of the batch that share the row's group (its user).  Where every row
    is a group of its own the loss is ``tau2 / tau`` times the softmax loss at ``tau2``, exactly:
    ``tau`` is then a mere factor.

    Parameters
    ----------
    positive, negative : Tensor, shapes (B,) and (B, N)
        Scores on the scale ``f = cos / 2``.
    tau, tau2 : float, or Tensor of one number
        Temperatures of the positive and of the negative side (the paper's tau_1, tau_2).
    group : Tensor of int64, shape (B,), optional
        Rows of the same number share their positives; ``None``: no two rows do.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        Scalar, or shape (B,) for ``reduction="none"``; at least float32.

    Raises
    ------
    ValueError
        For wrong shapes, scores that are not floating point, or a temperature that is not positive.
    """
    positive, negative = check_scores(positive, negative)
    check_positive(tau=tau, tau2=tau2)
    tau, tau2 = as_scalar(tau), as_scalar(tau2)
    pull = positive / tau
    if group is not None:
        if group.shape != positive.shape:
            raise ValueError(
                f"group must have the shape of positive, {tuple(positive.shape)}, "
                f"got {tuple(group.shape)}"
            )
        # A group's number is the place of its first row in the sorted order: nobody has to wait for
        # a GPU to say how many groups there are.
        number = torch.searchsorted(group.sort().values, group)
        size = _sums(torch.ones_like(pull), number)
        top = torch.full_like(pull, -math.inf)
        top = top.scatter_reduce(0, number, pull.detach(), "amax")
        mass = _sums((pull - top[number]).exp(), number)
        pull = top[number] + (mass[number] / size[number]).log()
    push = (tau2 / tau) * torch.logsumexp(negative / tau2, dim=-1)
    return reduce(push - pull, reduction)


def _sums(values: Tensor, number: Tensor) -> Tensor:
    """Add up the values (B,) of each number.

    It is the gradient of a table with respect to its rows, for which a GPU has one order of adding;
    ``index_add`` takes there whichever comes.
    """
    column = values.unsqueeze(1)
    sums: Tensor = torch.ops.aten.embedding_dense_backward(column, number, len(values), -1, False)
    return sums.squeeze(1)


class BSLLoss(nn.Module):
    """Module form of :func:`psl.losses.bsl_loss`; groups are the users of the batch.

    Parameters
    ----------
    tau, tau2 : float
        Positive; ``tau2`` is ``tau`` if it is not given.

    Raises
    ------
    ValueError
        If a temperature is not positive.
    """

    needs_ids = True

    def __init__(
        self, tau: float = 0.1, tau2: float | None = None, *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction
        given = tau, tau if tau2 is None else tau2
        # A number of numpy's is a number.
        self.tau, self.tau2 = (t if isinstance(t, Tensor) else float(t) for t in given)
        check_positive(sync=True, tau=self.tau, tau2=self.tau2)

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        group = None if batch is None else batch.users
        return bsl_loss(positive, negative, self.tau, self.tau2, group, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Show the settings in ``print(loss)``."""
        return format_extra_repr(self, "tau", "tau2", "reduction")
