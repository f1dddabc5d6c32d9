"""Observed positives as one CSR from users to items; splits and a generator with known truth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from psl.errors import DataError

__all__ = ["Interactions", "holdout", "synthetic"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """The set of observed (user, item) pairs, sorted by user then item.

    Attributes
    ----------
    indptr : ndarray of int64, shape (users + 1,)
        User ``u`` owns ``items[indptr[u]:indptr[u + 1]]``.
    items : ndarray of int64, shape (interactions,)
    num_items : int
        Size of the catalogue; items are ``0 .. num_items - 1``.

    Raises
    ------
    DataError
        If the arrays are of another dtype or shape, a user's part does not follow the one before,
        or a user's items are not in the catalogue, each once, ascending.  Every draw and every hit
        is found by bisection, which would be wrong without a word.
    """

    indptr: np.ndarray
    items: np.ndarray
    num_items: int

    def __post_init__(self) -> None:
        remedy = "; Interactions.from_pairs builds it from pairs in any order"
        for name, array in (("indptr", self.indptr), ("items", self.items)):
            if not isinstance(array, np.ndarray):
                raise DataError(f"{name} must be an ndarray, got {type(array).__name__}{remedy}")
            if array.dtype != np.int64 or array.ndim != 1:
                raise DataError(
                    f"{name} must be a column of int64, got {array.dtype} {array.shape}: give "
                    f"{name}.astype(numpy.int64){remedy}"
                )
        ends = (self.indptr[0], self.indptr[-1]) if len(self.indptr) else (0, -1)
        if ends != (0, len(self.items)) or (np.diff(self.indptr) < 0).any():
            raise DataError(
                f"indptr must rise from 0 to the number of items, {len(self.items)}{remedy}"
            )
        if not len(self.items):
            return
        low, high = self.items.min(), self.items.max()
        if low < 0 or high >= self.num_items:
            raise DataError(f"an item is not in 0 .. {self.num_items - 1}: {low} to {high}{remedy}")
        ascends = np.diff(self.items) > 0
        first = self.indptr[(self.indptr > 0) & (self.indptr < len(self.items))]
        ascends[first - 1] = True  # from one user to the next it may fall
        if not ascends.all():
            raise DataError(
                "a user's items must ascend, each once (of a scipy matrix: after sum_duplicates "
                f"and sort_indices){remedy}"
            )

    @classmethod
    def from_pairs(
        cls, users: np.ndarray, items: np.ndarray, num_users: int, num_items: int
    ) -> Interactions:
        """Build from pairs in any order; repeated pairs count once.

        Parameters
        ----------
        users, items : ndarray of integers, shape (pairs,)
        num_users, num_items : int
            Bounds of the ids.

        Raises
        ------
        DataError
            If an id is no integer, negative or not below its bound, or there is no pair.
        """
        users, items = np.asarray(users), np.asarray(items)
        if users.shape != items.shape or users.ndim != 1:
            raise DataError("users and items must be two columns of the same length")
        if len(users) == 0:
            raise DataError("no interaction: the split is empty")
        for what, ids, bound in (("user", users, num_users), ("item", items, num_items)):
            if not np.issubdtype(ids.dtype, np.integer):  # a float would be cut down to one
                raise DataError(f"{what} ids must be integers, got {ids.dtype} ({ids[0]})")
            if ids.min() < 0:
                raise DataError(f"negative {what} id {ids.min()}: ids count from 0")
            if ids.max() >= bound:
                raise DataError(f"{what} id {ids.max()} is not below {bound}")
        users, items = users.astype(np.int64), items.astype(np.int64)
        key = np.unique(users * num_items + items)
        indptr = np.searchsorted(key, np.arange(num_users + 1) * num_items)
        return cls(indptr, key % num_items, num_items)

    @property
    def num_users(self) -> int:
        """Number of users, those without interactions included."""
        return len(self.indptr) - 1

    def __len__(self) -> int:
        """Return the number of interactions."""
        return len(self.items)

    @property
    def users(self) -> np.ndarray:
        """User of each interaction, shape (interactions,)."""
        return np.repeat(np.arange(self.num_users), self.degrees)

    @property
    def degrees(self) -> np.ndarray:
        """Interactions of each user, shape (users,)."""
        return np.diff(self.indptr)

    @property
    def popularity(self) -> np.ndarray:
        """Interactions of each item, shape (num_items,)."""
        return np.bincount(self.items, minlength=self.num_items)

    def of(self, user: int) -> np.ndarray:
        """Items of one user, ascending."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    def mask(self, users: Tensor) -> Tensor:
        """Return which items these users have, shape (B, num_items), bool, on their device.

        Parameters
        ----------
        users : Tensor of int64, shape (B,)
        """
        indptr = torch.from_numpy(self.indptr).to(users.device)
        items = torch.from_numpy(self.items).to(users.device)
        start, count = indptr[users], indptr[users + 1] - indptr[users]
        row = torch.repeat_interleave(torch.arange(len(users), device=users.device), count)
        offset = torch.arange(len(row), device=users.device) - (count.cumsum(0) - count)[row]
        mask = torch.zeros(len(users), self.num_items, dtype=torch.bool, device=users.device)
        mask[row, items[start[row] + offset]] = True
        return mask

    def union(self, other: Interactions) -> Interactions:
        """Return the pairs that are in either set.

        Raises
        ------
        DataError
            If the other set is of other users or items, or both are empty.
        """
        if (self.num_users, self.num_items) != (other.num_users, other.num_items):
            raise DataError("the two sets have different users or items")
        return Interactions.from_pairs(
            np.concatenate([self.users, other.users]),
            np.concatenate([self.items, other.items]),
            self.num_users,
            self.num_items,
        )

    def difference(self, other: Interactions) -> Interactions:
        """Return the pairs that are not in the other set.

        Raises
        ------
        DataError
            If the other set is of other users or items, or no pair is left.
        """
        if (self.num_users, self.num_items) != (other.num_users, other.num_items):
            raise DataError("the two sets have different users or items")
        users = self.users
        there = np.isin(
            users * self.num_items + self.items, other.users * self.num_items + other.items
        )
        return Interactions.from_pairs(
            users[~there], self.items[~there], self.num_users, self.num_items
        )

    def fingerprint(self) -> str:
        """SHA-256 of the content, independent of how it was built."""
        digest = hashlib.sha256(f"{self.num_users},{self.num_items}".encode())
        digest.update(np.ascontiguousarray(self.indptr, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.items, dtype="<i8").tobytes())
        return digest.hexdigest()


def holdout(
    data: Interactions, fraction: float, rng: np.random.Generator, *, minimum: int = 1
) -> tuple[Interactions, Interactions]:
    """Move ``max(floor(fraction * n), minimum)`` random items of each user aside.

    Users with too few interactions to keep one keep all of them.

    Parameters
    ----------
    data : Interactions
    fraction : float
        Of a user's interactions, in (0, 1).
    rng : numpy.random.Generator
        Stream that chooses them.
    minimum : int
        How many are moved at least, of a user who has more.

    Returns
    -------
    kept, held : Interactions

    Raises
    ------
    DataError
        If the fraction is not between 0 and 1, or nothing is set aside of any user.
    """
    if not 0 < fraction < 1:
        raise DataError(f"the fraction to set aside lies between 0 and 1, got {fraction}")
    degrees = data.degrees
    count = np.maximum((fraction * degrees).astype(np.int64), minimum)
    count[count >= degrees] = 0
    if not count.any():
        most = int(degrees.max(initial=0))
        if most > minimum:
            raise DataError(
                f"no user has enough interactions, {most} at most, for one to be set aside: the "
                f"fraction is {fraction}"
            )
        raise DataError(
            f"no user has more than {minimum} interactions: there is none to set aside (a split "
            "with a larger --core keeps users with more)"
        )
    order = np.lexsort((rng.random(len(data)), data.users))
    place = np.arange(len(data)) - np.repeat(data.indptr[:-1], degrees)
    held = np.zeros(len(data), dtype=bool)
    held[order] = place < np.repeat(count, degrees)
    shape = (data.num_users, data.num_items)
    return (
        Interactions.from_pairs(data.users[~held], data.items[~held], *shape),
        Interactions.from_pairs(data.users[held], data.items[held], *shape),
    )


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
