"""Negative samplers: which items a positive is compared with, and with which probability."""

import math

import numpy as np
import torch
from torch import Tensor

from psl.errors import DataError
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.kernels.dispatch import choose
from psl.ops.precision import check_ids
from psl.streams import stream_key, uniforms

__all__ = ["NoisyNegatives", "PopularityNegatives", "Sampler", "UniformNegatives"]


def _check(users: Tensor, num_users: int, key: int) -> None:
    """Refuse what a kernel would read beyond the ends of, and a key of which paths differ."""
    if users.ndim != 1 or users.dtype != torch.int64:
        raise ValueError(f"users must be int64 (B,), got {users.dtype} {tuple(users.shape)}")
    if not 0 <= key < 1 << 63:
        raise ValueError(f"the key must be in 0 .. 2^63 - 1, got {key}")
    check_ids("a user", num_users, users)


def _check_data(train: Interactions) -> None:
    """Refuse data of which nothing can be drawn."""
    if not (train.num_users and train.num_items):
        sizes = f"{train.num_users} users and {train.num_items} items"
        raise DataError(f"{sizes}: there is nothing to draw")
    if int(train.degrees.max()) >= train.num_items:
        user = int(train.degrees.argmax())
        raise DataError(f"user {user} has every item as a positive: there is no negative")


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
        _check_data(train)
        self.train, self.num_items = train, int(train.num_items)
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
            return kernel(key, self.indptr, self.items, self.num_items, users, count)
        first = self.indptr[users].unsqueeze(1)
        free = self.num_items - (self.indptr[users + 1].unsqueeze(1) - first)
        rank = (uniforms(key, (len(users), count), users.device) * free).long()
        key_of_rank = rank + users.unsqueeze(1) * self.num_items
        return rank + torch.searchsorted(self.below, key_of_rank, right=True) - first

    def log_probability(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the log of the probability that one draw is the item, shape (B, N).

        ``log_weight=-sampler.log_probability(users, negatives) - log(N)`` makes the sum over N
        draws an unbiased estimate of the sum over all items that the user has not.

        Parameters
        ----------
        users : Tensor of int64, shape (B,)
        items : Tensor of int64, shape (B, N)
            As :meth:`sample` gives them; a positive of the user is never drawn, so it has -inf.
        """
        free = self.num_items - (self.indptr[users + 1] - self.indptr[users])
        log = -free.to(torch.get_default_dtype()).log().unsqueeze(1)
        return log.expand(items.shape).masked_fill(self.train.has(users, items), -math.inf)


class PopularityNegatives:
    """Items drawn by popularity to a power, without the user's training positives.

    An item of n interactions is drawn in proportion to ``(n + 1) ** power``.  Power 1 is about
    what a batch of positives holds, 0 draws all items alike, and 3/4 is the choice of word2vec
    (Mikolov et al., 2013).  The one that is added lets items without an interaction be drawn:
    what is never a negative is never ranked down.  The proportions are rounded to whole numbers,
    so that no draw is ever rejected: a mass among the user's non-positives is drawn, and shifted
    past the positives below it.  :meth:`log_probability` is that of the rounded proportions.

    Parameters
    ----------
    train : Interactions
        The positives that are not drawn, and what popularity is counted on.
    power : float
        At least 0.
    device : torch.device or str
        As of :class:`UniformNegatives`.

    Raises
    ------
    DataError
        As :class:`UniformNegatives`, or if ``power`` is negative or no number.
    """

    def __init__(
        self, train: Interactions, power: float = 0.75, device: torch.device | str = "cpu"
    ) -> None:
        _check_data(train)
        if not 0 <= power < math.inf:
            raise DataError(f"the power of the popularity is a number from 0 on, got {power}")
        self.train = train
        count = train.popularity + 1
        share = (count / count.max()) ** power
        # Users times mass fits in 63 bits, and a mass times a uniform number in float64's 53.
        scale = min(2.0**48, 2.0**61 / train.num_users) / share.sum()
        mass = np.maximum(np.rint(share * scale), 1).astype(np.int64)
        own = mass[train.items]
        self.mass = torch.from_numpy(mass).to(device)
        self.up_to = self.mass.cumsum(0)  # of an item and all before it
        self.total = int(self.up_to[-1])
        view = train.to(device)
        self.indptr = view.indptr
        # Of the positives before each place of the list of pairs, whosever they are.
        self.owned = torch.from_numpy(np.append(0, own.cumsum())).to(device)
        before = self.owned[:-1] - self.owned[self.indptr[view.users]]
        # For each positive, what the non-positives before it weigh; users follow one another.
        self.below = (self.up_to - self.mass)[view.items] - before + view.users * self.total

    def sample(self, users: Tensor, count: int, key: int) -> Tensor:
        """Draw (B, count), int64; parameters and errors as :meth:`psl.UniformNegatives.sample`."""
        _check(users, len(self.indptr) - 1, key)
        drawn = uniforms(key, (len(users), count), users.device) * self._free(users)
        key_of_drawn = drawn.long() + users.unsqueeze(1) * self.total
        passed = torch.searchsorted(self.below, key_of_drawn, right=True)
        mass = drawn.long() + self.owned[passed] - self.owned[self.indptr[users]].unsqueeze(1)
        return torch.searchsorted(self.up_to, mass, right=True)

    def log_probability(self, users: Tensor, items: Tensor) -> Tensor:
        """Return what :meth:`psl.UniformNegatives.log_probability` does, of these draws; (B, N)."""
        share = self.mass[items].double() / self._free(users)
        log = share.log().to(torch.get_default_dtype())
        return log.masked_fill(self.train.has(users, items), -math.inf)

    def _free(self, users: Tensor) -> Tensor:
        """Return what the non-positives of each user weigh, shape (B, 1)."""
        own = self.owned[self.indptr[users + 1]] - self.owned[self.indptr[users]]
        return (self.total - own).unsqueeze(1)


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
        """Draw (B, count), int64; parameters and errors as :meth:`psl.UniformNegatives.sample`.

        On a GPU it is torch's assertion that a user who does not exist fails, kernel or not.
        """
        drawn = self.uniform.sample(users, count, key)
        coin_key, which_key = stream_key(key, "coin"), stream_key(key, "which")
        if kernel := choose("mix_in", users):
            ids = (self.indptr, self.items, users, drawn)
            return kernel(coin_key, which_key, self.ratio, *ids)
        shape = (len(users), count)
        coin = uniforms(coin_key, shape, users.device) < self.ratio
        first = self.indptr[users].unsqueeze(1)
        number = self.indptr[users + 1].unsqueeze(1) - first
        which = (uniforms(which_key, shape, users.device) * number).long()
        false = self.items[(first + which).clamp(max=len(self.items) - 1)]
        return torch.where(coin & (number > 0), false, drawn)

    def log_probability(self, users: Tensor, items: Tensor) -> Tensor:
        """Return what :meth:`psl.UniformNegatives.log_probability` does, of these draws; (B, N)."""
        number = (self.indptr[users + 1] - self.indptr[users]).unsqueeze(1)
        ratio = torch.where(number > 0, self.ratio, 0.0)
        false = ratio * self.marked.has(users, items) / number.clamp(min=1)
        return ((1 - ratio) * self.uniform.log_probability(users, items).exp() + false).log()


Sampler = UniformNegatives | PopularityNegatives | NoisyNegatives
