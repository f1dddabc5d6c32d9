"""Ranks, ranking metrics, and the chain of surrogates from -log DCG to the softmax loss.

Everything here takes one user's scores over the whole catalogue: ``scores`` of shape ``(I,)`` and a
boolean ``positive`` mask of the same shape.  It is the readable definition; evaluation of millions
of users lives in :mod:`psl.evaluation`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from psl.activations import get_activation

__all__ = ["dcg", "mrr", "pairwise_differences", "ranks", "surrogate_chain"]


def pairwise_differences(scores: Tensor, positive: Tensor) -> Tensor:
    """Return ``d[i, j] = f(j) - f(i)`` for each positive ``i`` and every item ``j``.

    Parameters
    ----------
    scores : Tensor, shape (I,)
    positive : Tensor of bool, shape (I,)

    Returns
    -------
    Tensor, shape (P, I)
        One row a positive, in catalogue order (equation 3.1).
    """
    if scores.ndim != 1 or positive.shape != scores.shape or positive.dtype != torch.bool:
        raise ValueError("expected scores (I,) and a boolean mask positive (I,)")
    return scores[None, :] - scores[positive][:, None]


def ranks(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the rank of each positive, ``pi(i) = sum_j 1[d_ij >= 0]`` (equation 3.3).

    ``j = i`` counts, so the best rank is 1, and a tie counts against the positive.  Shape (P,).
    """
    return (pairwise_differences(scores, positive) >= 0).sum(dim=1)


def dcg(rank: Tensor) -> Tensor:
    """Return the discounted cumulative gain without cut-off (equation 2.1), a scalar."""
    return (1 / torch.log2(1 + rank.double())).sum()


def mrr(rank: Tensor) -> Tensor:
    """Return the *sum* of reciprocal ranks, a scalar; divided by their number it is the mean."""
    return (1 / rank.double()).sum()


def surrogate_chain(
    scores: Tensor, positive: Tensor, tau: float, activation: str = "relu"
) -> dict[str, float]:
    """Return every link from ``-log DCG`` to the softmax loss for one user, in order.

    The links are (3.2) and Lemma 4.1, each a mean over the positives of the user, in nats:

    ``-log DCG + log P <= -log mean 1/pi <= mean log pi <= PSL <= SL``

    where the last step needs an activation below ``exp`` on the range of the differences.

    Parameters
    ----------
    scores : Tensor, shape (I,)
    positive : Tensor of bool, shape (I,)
    tau : float
        Temperature, positive; the chain holds for every one.
    activation : str
        Name of the PSL activation.

    Raises
    ------
    ValueError
        If there is no positive item, the temperature is not positive, or a shape is wrong.
    """
    if not bool(positive.any()):
        raise ValueError("the user has no positive item")
    if not tau > 0:
        raise ValueError(f"tau must be positive, got {tau}")
    d = pairwise_differences(scores.double(), positive)
    rank = (d >= 0).sum(dim=1)
    count = torch.tensor(float(len(rank)), dtype=torch.float64)
    log_sigma = get_activation(activation).log
    links = {
        "-log DCG": count.log() - dcg(rank).log(),
        "-log MRR": count.log() - mrr(rank).log(),
        "log rank": rank.double().log().mean(),
        "PSL": torch.logsumexp(log_sigma(d) / tau, dim=1).mean(),
        "SL": torch.logsumexp(d / tau, dim=1).mean(),
    }
    return {name: float(value) for name, value in links.items()}
