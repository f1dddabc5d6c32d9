"""Bilateral softmax loss: a soft maximum over negatives, and one over a user's positives."""

import math

import torch
from torch import Tensor

from psl.losses.base import Loss, Reduction, check_positive, check_scores, reduce
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
    ``tau`` is then a mere factor.  Scores, ``reduction``, result and errors as
    :func:`psl.pairwise_softmax_loss`.

    Parameters
    ----------
    tau, tau2 : float, or Tensor of one number
        Temperatures of the positive and of the negative side (the paper's tau_1, tau_2).
    group : Tensor of int64, shape (B,), optional
        Rows of the same number share their positives; ``None``: no two rows do.
    """
    positive, negative = check_scores(positive, negative)
    tau, tau2 = check_positive(tau=tau, tau2=tau2)
    pos_term = positive / tau
    if group is not None:
        if group.shape != positive.shape:
            raise ValueError(
                f"group must have the shape of positive, {tuple(positive.shape)}, "
                f"got {tuple(group.shape)}"
            )
        # A group's number is the index of its first row in the sorted order: counting the groups
        # would wait for a GPU.
        number = torch.searchsorted(group.sort().values, group)
        size = _sums(torch.ones_like(pos_term), number)
        top = torch.full_like(pos_term, -math.inf)
        top = top.scatter_reduce(0, number, pos_term.detach(), "amax")
        mass = _sums((pos_term - top[number]).exp(), number)
        pos_term = top[number] + (mass[number] / size[number]).log()
    neg_term = (tau2 / tau) * torch.logsumexp(negative / tau2, dim=-1)
    return reduce(neg_term - pos_term, reduction)


def _sums(values: Tensor, number: Tensor) -> Tensor:
    """Add up the values (B,) of each number.

    As the gradient of an embedding, which is deterministic on a GPU; ``index_add`` is not.
    """
    column = values.unsqueeze(1)
    sums = torch.ops.aten.embedding_dense_backward(column, number, len(values), -1, False)
    return sums.squeeze(1)


class BSLLoss(Loss):
    """Module form of :func:`psl.losses.bsl_loss`; groups are the users of the batch.

    Parameters
    ----------
    tau, tau2 : float
        Positive; ``tau2`` is ``tau`` if it is not given.
    """

    needs_ids = True
    settings = ("tau", "tau2")

    def __init__(
        self, tau: float = 0.1, tau2: float | None = None, *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        given = tau, tau if tau2 is None else tau2
        # A number of numpy's is a number.
        self.tau, self.tau2 = (t if isinstance(t, Tensor) else float(t) for t in given)
        check_positive(sync=True, tau=self.tau, tau2=self.tau2)

    def forward(self, positive: Tensor, negative: Tensor, batch: Batch | None = None) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        group = None if batch is None else batch.users
        return bsl_loss(positive, negative, self.tau, self.tau2, group, reduction=self.reduction)
