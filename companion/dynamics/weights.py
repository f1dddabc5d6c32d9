"""Where losses put their weight on one model, and how far its own loss is from the metric."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.theory import pairwise_differences, surrogate_chain
from psl.activations import get_activation
from psl.interactions import Interactions

__all__ = ["ACTIVATION_OF", "MOST_USERS", "measure", "sampling_probability"]

# The softmax losses of the book, and the activation that makes each of (4.1).
ACTIVATION_OF = {
    "sl": "exp",
    "psl-tanh": "tanh",
    "psl-atan": "atan",
    "psl-relu": "relu",
    "psl-softplus": "softplus",
}
MOST_USERS = 500  # are measured: every k-th of a larger dataset


def measure(
    model: Any,
    positives: Interactions,
    fit: Interactions,
    false_negatives: dict[str, Interactions],
    groups: np.ndarray,
    *,
    loss: str,
    tau: float,
    noise: tuple[Interactions, float] | None = None,
) -> dict[str, Any]:
    """Return where the weight of each loss falls on a model, in the limit of many negatives.

    The weight of an item in the row of a positive is that of equation 4.3, times the probability
    with which training draws the item: the expected gradient of the loss, exactly, without drawing.

    Parameters
    ----------
    model : MatrixFactorization
        Anything with ``embed``.
    positives : Interactions
        Pairs that are trained on as positives.
    fit : Interactions
        Pairs that are never drawn uniformly as negatives.
    false_negatives : dict of Interactions
        Kinds of pairs that are drawn as negatives and liked all the same.
    groups : ndarray, shape (I,)
        The group of each item by popularity, as ``companion.popularity`` gives it.
    loss : str
        The loss that trained the model: it alone is compared with the metric.
    tau : float
        Temperature of every loss.
    noise : (Interactions, float), optional
        The marked pairs, and the ratio p of the slots that they fill.

    Returns
    -------
    dict
        ``share[kind][loss]``: part of all weight that is on false negatives; ``drawn[kind]``: part
        of the draws that are; ``row_weight``: the mean total weight of a positive's row times tau
        under ``loss``, by the positive's group, NaN where a group has none; ``distance``: nats from
        -log DCG + log P to ``loss``, the mean over users.
    """
    users = torch.arange(0, positives.num_users, -(-positives.num_users // MOST_USERS))
    with torch.no_grad():
        left, right = model.embed(users)
        scores = (left @ right.T).double().cpu()
    drawn = sampling_probability(users, fit, noise)
    liked = {kind: pairs.mask(users) for kind, pairs in false_negatives.items()}
    masks = positives.mask(users)
    total = dict.fromkeys(ACTIVATION_OF, 0.0)
    on = {kind: dict.fromkeys(ACTIVATION_OF, 0.0) for kind in liked}
    chance = dict.fromkeys(liked, 0.0)
    summed, counted = np.zeros(int(groups.max()) + 1), np.zeros(int(groups.max()) + 1)
    distances, rows = [], 0
    for user, own in enumerate(masks):
        if not own.any():
            continue
        d = pairwise_differences(scores[user], own)
        for name, activation in ACTIVATION_OF.items():
            kind_of = get_activation(activation)
            log_weight = kind_of.log(d) / tau + drawn[user].log()
            weight = torch.softmax(log_weight, dim=1) * kind_of.slope(d)
            weight = weight.masked_fill(drawn[user] == 0, 0.0)
            total[name] += float(weight.sum())
            for kind, mask in liked.items():
                on[kind][name] += float(weight[:, mask[user]].sum())
            if name == loss:
                group = groups[own.nonzero()[:, 0].numpy()]
                np.add.at(summed, group, weight.sum(dim=1).numpy())
                np.add.at(counted, group, 1)
        for kind, mask in liked.items():
            chance[kind] += len(d) * float(drawn[user][mask[user]].sum())
        chain = surrogate_chain(scores[user], own, tau, ACTIVATION_OF[loss])
        distances.append(chain["PSL"] - chain["-log DCG"])
        rows += len(d)
    return {
        "share": {
            k: {name: v / total[name] for name, v in found.items()} for k, found in on.items()
        },
        "drawn": {kind: value / rows for kind, value in chance.items()},
        "row_weight": np.divide(
            summed, counted, out=np.full_like(summed, np.nan), where=counted > 0
        ).tolist(),
        "distance": float(np.mean(distances)),
    }


def sampling_probability(
    users: Tensor, fit: Interactions, noise: tuple[Interactions, float] | None
) -> Tensor:
    """Return with which probability an item fills a negative slot of a user, shape (B, I).

    Uniform over what the user has not in ``fit``; under noise a slot holds one of the user's
    marked pairs with the probability of the ratio, if there is one.
    """
    free = (~fit.mask(users)).double()
    uniform = free / free.sum(dim=1, keepdim=True)
    if noise is None:
        return uniform
    marked = noise[0].mask(users).double()
    count = marked.sum(dim=1, keepdim=True)
    ratio = torch.where(count > 0, noise[1], 0.0)
    return (1 - ratio) * uniform + ratio * marked / count.clamp(min=1)
