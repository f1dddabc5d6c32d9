"""Setting a part of each user's pairs aside, for validation."""

import numpy as np

from psl.errors import DataError
from psl.interactions import Interactions

__all__ = ["holdout"]


def holdout(
    data: Interactions, fraction: float, rng: np.random.Generator
) -> tuple[Interactions, Interactions]:
    """Move ``max(floor(fraction * n), 1)`` random items of each user aside.

    Users with too few interactions to keep one keep all of them.  Raises DataError if the fraction
    is not between 0 and 1, or nothing is set aside of any user.

    Parameters
    ----------
    data : Interactions
    fraction : float
        Of a user's interactions, in (0, 1).
    rng : numpy.random.Generator
        Stream that chooses them.

    Returns
    -------
    kept, held : Interactions
    """
    if not 0 < fraction < 1:
        raise DataError(f"the fraction to set aside lies between 0 and 1, got {fraction}")
    degrees = data.degrees
    # 0.29 * 100 is 28.999999999999996: a product that is whole but for its rounding is whole.
    count = np.maximum((fraction * degrees * (1 + 1e-12)).astype(np.int64), 1)
    count[count >= degrees] = 0
    if not count.any():
        raise DataError(
            "no user has more than one interaction: there is none to set aside (a split with a "
            "larger --core keeps users with more)"
        )
    order = np.lexsort((rng.random(len(data)), data.users))
    number = np.arange(len(data)) - np.repeat(data.indptr[:-1], degrees)  # 0, 1, ... of each user
    held = np.zeros(len(data), dtype=bool)
    held[order] = number < np.repeat(count, degrees)
    return data.where(~held), data.where(held)
