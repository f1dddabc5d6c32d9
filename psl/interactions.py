"""Observed positives as one CSR from users to items, and its views as tensors."""

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from psl.errors import DataError

__all__ = ["InteractionTensors", "Interactions"]


class InteractionTensors(NamedTuple):
    """The arrays of an :class:`Interactions`, of the same names, as int64 tensors of a device.

    ``keys`` are its pairs, each as one number, ascending.
    """

    indptr: Tensor
    items: Tensor
    users: Tensor
    keys: Tensor


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
    ) -> Self:
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

    @classmethod
    def from_scipy(cls, matrix: Any) -> Self:
        """Build from a sparse matrix of SciPy, users by items; an entry that is not zero is a pair.

        Raises
        ------
        DataError
            If it is no sparse matrix of two dimensions, or has no entry.
        """
        if not hasattr(matrix, "tocoo") or len(matrix.shape) != 2:
            raise DataError(f"a sparse matrix, users by items, was expected, got {type(matrix)}")
        entries = matrix.tocoo()
        there = entries.data != 0
        return cls.from_pairs(entries.row[there], entries.col[there], *matrix.shape)

    @classmethod
    def from_dataframe(
        cls, frame: Any, user: str = "user", item: str = "item"
    ) -> tuple[Self, np.ndarray, np.ndarray]:
        """Build from a table with a row for each pair, and number users and items.

        Parameters
        ----------
        frame : DataFrame
            Of pandas.
        user, item : str
            Its two columns; their values may be of any kind that sorts.

        Returns
        -------
        interactions : Interactions
        user_ids, item_ids : ndarray, shapes (users,) and (items,)
            The values in the order of the numbers: ascending.

        Raises
        ------
        DataError
            If a column is missing or stands twice, a value is missing or the values do not sort,
            or there is no row.
        """
        found = []
        for name in (user, item):
            if name not in frame:
                raise DataError(f"no column {name!r}; there are {', '.join(map(str, frame))}")
            column = frame[name]
            if column.ndim != 1:
                raise DataError(f"there are {column.shape[1]} columns {name!r}")
            if column.isna().any():
                raise DataError(f"a value of the column {name!r} is missing")
            try:
                found.append(np.unique(column.to_numpy(), return_inverse=True))
            except TypeError as error:
                raise DataError(f"the values of {name!r} do not sort ({error})") from error
        (users, user_of), (items, item_of) = found
        return cls.from_pairs(user_of, item_of, len(users), len(items)), users, items

    @property
    def num_users(self) -> int:
        """Number of users, those without interactions included."""
        return len(self.indptr) - 1

    def __len__(self) -> int:
        """Return the number of interactions."""
        return len(self.items)

    @cached_property
    def users(self) -> np.ndarray:
        """User of each interaction, shape (interactions,)."""
        return np.repeat(np.arange(self.num_users), self.degrees)

    @cached_property
    def degrees(self) -> np.ndarray:
        """Interactions of each user, shape (users,)."""
        return np.diff(self.indptr)

    @cached_property
    def popularity(self) -> np.ndarray:
        """Interactions of each item, shape (num_items,)."""
        return np.bincount(self.items, minlength=self.num_items)

    @cached_property
    def _keys(self) -> np.ndarray:
        """Each pair as one number, ascending."""
        return self.users * self.num_items + self.items

    def to(self, device: torch.device | str) -> InteractionTensors:
        """Return the arrays as tensors of a device; they are made once, and not to be changed."""
        device = torch.device(device)
        if device not in self._views:
            arrays = (self.indptr, self.items, self.users, self._keys)
            tensors = (torch.from_numpy(array).to(device) for array in arrays)
            self._views[device] = InteractionTensors(*tensors)
        return self._views[device]

    @cached_property
    def _views(self) -> dict[torch.device, InteractionTensors]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the arrays alone: what is cached is made again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def of(self, user: int) -> np.ndarray:
        """Items of one user, ascending."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    def mask(self, users: Tensor) -> Tensor:
        """Return which items ``users`` (B,), int64, have: (B, num_items), bool, on their device."""
        view = self.to(users.device)
        indptr, items = view.indptr, view.items
        start, count = indptr[users], indptr[users + 1] - indptr[users]
        row = torch.repeat_interleave(torch.arange(len(users), device=users.device), count)
        offset = torch.arange(len(row), device=users.device) - (count.cumsum(0) - count)[row]
        mask = torch.zeros(len(users), self.num_items, dtype=torch.bool, device=users.device)
        mask[row, items[start[row] + offset]] = True
        return mask

    def has(self, users: Tensor, items: Tensor) -> Tensor:
        """Return which of some items each user has, shape (B, N), bool, on their device.

        Parameters
        ----------
        users : Tensor of int64, shape (B,)
        items : Tensor of int64, shape (B, N)
        """
        keys, asked = self.to(users.device).keys, users.unsqueeze(1) * self.num_items + items
        if not len(keys):
            return torch.zeros_like(asked, dtype=torch.bool)
        return keys[torch.searchsorted(keys, asked).clamp(max=len(keys) - 1)] == asked

    def where(self, chosen: np.ndarray) -> Self:
        """Return the pairs that a mask or an array of positions chooses; DataError if none."""
        return self._from_keys(self._keys[chosen])

    def union(self, other: Self) -> Self:
        """Return the pairs that are in either set.

        Raises
        ------
        DataError
            If the other set is of other users or items, or no pair is left.
        """
        self._check_alike(other)
        return self._from_keys(np.union1d(self._keys, other._keys))

    def difference(self, other: Self) -> Self:
        """Return the pairs that are not in the other set; errors as of :meth:`union`."""
        self._check_alike(other)
        return self._from_keys(np.setdiff1d(self._keys, other._keys, assume_unique=True))

    def _check_alike(self, other: Self) -> None:
        if (self.num_users, self.num_items) != (other.num_users, other.num_items):
            raise DataError("the two sets have different users or items")

    def _from_keys(self, keys: np.ndarray) -> Self:
        users, items = np.divmod(keys, self.num_items)
        return self.from_pairs(users, items, self.num_users, self.num_items)

    def fingerprint(self) -> str:
        """SHA-256 of the content, independent of how it was built."""
        digest = hashlib.sha256(f"{self.num_users},{self.num_items}".encode())
        for array in (self.indptr, self.items):
            digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return digest.hexdigest()
