"""Negative samplers: which items a positive is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from psl.errors import DataError
from psl.interactions import Interactions

__all__ = ["UniformNegatives", "membership"]


def membership(data: Interactions, users: Tensor) -> Tensor:
    """Return the boolean matrix of ``users`` against the catalogue, shape (B, I)."""
    indptr = torch.from_numpy(data.indptr).to(users.device)
    items = torch.from_numpy(data.items).to(users.device)
    start, count = indptr[users], indptr[users + 1] - indptr[users]
    row = torch.repeat_interleave(torch.arange(len(users), device=users.device), count)
    offset = torch.arange(len(row), device=users.device) - (count.cumsum(0) - count)[row]
    mask = torch.zeros(len(users), data.num_items, dtype=torch.bool, device=users.device)
    mask[row, items[start[row] + offset]] = True
    return mask


class UniformNegatives:
    """Items uniform over the catalogue without the user's training positives, with replacement.

    Parameters
    ----------
    train : Interactions
        The positives that are rejected.
    rows : int
        Users whose mask is held at once: memory is ``rows * num_items`` bytes.

    Raises
    ------
    DataError
        If a user has the whole catalogue as positives.
    """

    def __init__(self, train: Interactions, rows: int = 128) -> None:
        if int(train.degrees.max()) >= train.num_items:
            raise DataError("a user has every item as a positive: there is no negative to draw")
        self.train, self.rows = train, rows

    def sample(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``count`` negatives for each user, shape (B, count), int64."""
        drawn = torch.randint(
            self.train.num_items, (len(users), count), generator=generator, device=users.device
        )
        for part, out in zip(users.split(self.rows), drawn.split(self.rows), strict=True):
            mask = membership(self.train, part)
            row, column = mask.gather(1, out).nonzero(as_tuple=True)
            while len(row):
                again = torch.randint(
                    self.train.num_items, (len(row),), generator=generator, device=users.device
                )
                out[row, column] = again
                rejected = mask[row, again]
                row, column = row[rejected], column[rejected]
        return drawn
