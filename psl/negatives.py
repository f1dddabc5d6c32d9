"""Negative samplers: which items a positive is compared with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from psl.errors import DataError
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.kernels.dispatch import choose
from psl.streams import stream_key, uniforms

__all__ = ["NoisyNegatives", "Sampler", "UniformNegatives"]


def _check(users: Tensor, num_users: int, key: int) -> None:
    """Refuse what a kernel would read beyond the ends of, and a key of which paths differ."""
    if users.ndim != 1 or users.dtype != torch.int64:
        raise ValueError(f"users must be int64 (B,), got {users.dtype} {tuple(users.shape)}")
    if not 0 <= key < 1 << 63:
        raise ValueError(f"the key must be in 0 .. 2^63 - 1, got {key}")
    # A GPU would have to be waited for, and torch.compile cannot follow.
    if users.device.type != "cpu" or torch.compiler.is_compiling() or not users.numel():
        return
    if not 0 <= int(users.min()) <= int(users.max()) < num_users:
        raise IndexError(f"a user id is not in 0 .. {num_users - 1}")


class UniformNegatives:
    """Items uniform over the catalogue without the user's training positives, with replacement.

    A rank among the user's non-positives is drawn and shifted past the positives below it, so no
    draw is ever rejected.  The draws depend on a key alone: the same on every device, with or
    without the kernels, in any number of threads.

    Parameters
    ----------
    train : Interactions
        The positives that are not drawn.
    device : torch.device or str
        Where the users will lie, and what is drawn.

    Raises
    ------
    DataError
        If there is no user or no item, or a user has the whole catalogue as positives.
    """

    def __init__(self, train: Interactions, device: torch.device | str = "cpu") -> None:
        if not (train.num_users and train.num_items):
            sizes = f"{train.num_users} users and {train.num_items} items"
            raise DataError(f"{sizes}: there is nothing to draw")
        if int(train.degrees.max()) >= train.num_items:
            user = int(train.degrees.argmax())
            raise DataError(f"user {user} has every item as a positive: there is no negative")
        self.num_items = int(train.num_items)
        view = train.to(device)
        self.indptr, self.items, users = view.indptr, view.items, view.users
        # For each positive, how many non-positives stand before it; users follow one another.
        number = torch.arange(len(train), device=device) - self.indptr[users]  # 0, 1, ... of each
        self.below = self.items - number + users * self.num_items

    def sample(self, users: Tensor, count: int, key: int) -> Tensor:
        """Draw ``count`` negatives for each user, shape (B, count), int64.

        The same key gives the same random numbers, row by row: give every call a key of its own,
        as ``stream_key(seed, epoch, step)``.  With the step of the epoch alone the negatives of the
        first epoch would come again in every other.

        Parameters
        ----------
        users : Tensor of int64, shape (B,)
            On the sampler's device.
        count : int
        key : int
            Decides the draws; in 0 .. 2^63 - 1, as :func:`psl.streams.stream_key` gives it.

        Raises
        ------
        ValueError
            For users of another shape or dtype, or a key out of its range.
        IndexError
            For a user that does not exist, on a CPU.  A GPU is not waited for: its kernel draws -1
            for such a user, and without it torch's own assertion fails on the device.
        """
        _check(users, len(self.indptr) - 1, key)
        if kernel := choose("uniform_negatives", users):
            out: Tensor = kernel(key, self.indptr, self.items, self.num_items, users, count)
            return out
        first = self.indptr[users].unsqueeze(1)
        free = self.num_items - (self.indptr[users + 1].unsqueeze(1) - first)
        rank = (uniforms(key, (len(users), count), users.device) * free).long()
        key_of_rank = rank + users.unsqueeze(1) * self.num_items
        return rank + torch.searchsorted(self.below, key_of_rank, right=True) - first


class NoisyNegatives:
    """Uniform negatives, of which a share is replaced by false negatives (Appendix B.1).

    A share of the training pairs is marked as false negatives, once, at random.  Each slot is then
    filled from its user's marked items with probability ``ratio``, and uniformly otherwise; a user
    without a marked item keeps the uniform draw.  ``marked`` holds the pairs; whether they stay
    positives as well is for the trainer to say.

    Parameters
    ----------
    train : Interactions
    ratio : float
        The paper's p, in [0, 1].
    rng : numpy.random.Generator
        Stream that marks the false negatives.
    share : float
        Part of the training pairs that is marked.
    per_user : bool
        Mark ``max(floor(share * n), 1)`` of each user's ``n`` pairs, as validation pairs are set
        aside, in place of a share of all pairs, which passes many users by.
    device : torch.device or str
        As of :class:`UniformNegatives`.

    Raises
    ------
    DataError
        If ``ratio`` is outside [0, 1] or ``share`` outside (0, 1), a user has the whole catalogue
        as positives, or, with ``per_user``, no user has two pairs.
    """

    def __init__(
        self,
        train: Interactions,
        ratio: float,
        rng: np.random.Generator,
        *,
        share: float = 0.1,
        per_user: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if not 0 <= ratio <= 1:
            raise DataError(f"the noise ratio is a probability, got {ratio}")
        if not 0 < share < 1:
            raise DataError(f"a share of the pairs lies between 0 and 1, got {share}")
        self.uniform, self.ratio = UniformNegatives(train, device), ratio
        if per_user:
            _, self.marked = holdout(train, share, rng)
        else:
            chosen = np.sort(rng.permutation(len(train))[: max(round(share * len(train)), 1)])
            self.marked = train.where(chosen)
        view = self.marked.to(device)
        self.indptr, self.items = view.indptr, view.items

    def sample(self, users: Tensor, count: int, key: int) -> Tensor:
        """Draw ``count`` negatives for each user, shape (B, count), int64.

        Key, parameters and errors as :meth:`psl.UniformNegatives.sample`; on a GPU it is torch's
        assertion that a user who does not exist fails.
        """
        drawn = self.uniform.sample(users, count, key)
        coin_key, which_key = stream_key(key, "coin"), stream_key(key, "which")
        if kernel := choose("mix_in", users):
            ids = (self.indptr, self.items, users, drawn)
            out: Tensor = kernel(coin_key, which_key, self.ratio, *ids)
            return out
        shape = (len(users), count)
        coin = uniforms(coin_key, shape, users.device) < self.ratio
        first = self.indptr[users].unsqueeze(1)
        number = self.indptr[users + 1].unsqueeze(1) - first
        which = (uniforms(which_key, shape, users.device) * number).long()
        false = self.items[(first + which).clamp(max=len(self.items) - 1)]
        return torch.where(coin & (number > 0), false, drawn)


Sampler = UniformNegatives | NoisyNegatives
