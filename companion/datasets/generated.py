"""The generated dataset, whose users' true preferences are known."""

from __future__ import annotations

import numpy as np

from psl.dataset import Dataset
from psl.errors import DataError
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.streams import numpy_stream

__all__ = ["synthetic", "synthetic_dataset"]


def synthetic_dataset() -> Dataset:
    """Return the generated dataset ``"synthetic"``; a fifth of a user's pairs are for the test."""
    seen, liked = synthetic(numpy_stream(0, "synthetic"))
    train, test = holdout(seen, 0.2, numpy_stream(0, "synthetic", "test"))
    return Dataset("synthetic", "iid", train, test, liked)


def synthetic(
    rng: np.random.Generator,
    num_users: int = 400,
    num_items: int = 600,
    relevant: int = 40,
    observed: int = 20,
    dim: int = 8,
    skew: float = 1.0,
) -> tuple[Interactions, Interactions]:
    """Generate long-tailed interactions whose true preferences are known.

    Users and items get Gaussian tastes of dimension ``dim``; a user's ``relevant`` best matches are
    what the user truly likes.  Of these, ``observed`` are seen, drawn without replacement in
    proportion to an item exposure that falls off as ``rank ** -skew``.  What is liked but not seen
    is a false negative, by construction.

    Parameters
    ----------
    rng : numpy.random.Generator
    num_users, num_items : int
    relevant, observed : int
        Items that a user likes, and how many of these are seen.
    dim : int
        Size of a taste.
    skew : float
        How long the tail is: 0 exposes every item alike.

    Returns
    -------
    seen, liked : Interactions
        ``seen`` is a subset of ``liked``.

    Raises
    ------
    DataError
        Unless ``2 <= observed <= relevant <= num_items``.
    """
    if not 2 <= observed <= relevant <= num_items:
        raise DataError("need 2 <= observed <= relevant <= num_items")
    match = rng.standard_normal((num_users, dim)) @ rng.standard_normal((dim, num_items))
    liked = np.argsort(-match, axis=1, kind="stable")[:, :relevant]
    exposure = rng.permutation((np.arange(num_items) + 1.0) ** -skew)
    # Gumbel top-k: a weighted draw without replacement for all users at once.
    key = np.log(exposure[liked]) + rng.gumbel(size=liked.shape)
    seen = np.take_along_axis(liked, np.argsort(-key, axis=1)[:, :observed], axis=1)

    def build(rows: np.ndarray) -> Interactions:
        users = np.repeat(np.arange(num_users), rows.shape[1])
        return Interactions.from_pairs(users, rows.ravel(), num_users, num_items)

    return build(seen), build(liked)
