"""How many threads a kernel runs in: as many as torch."""

from __future__ import annotations

import torch
from numba import get_num_threads, set_num_threads

__all__ = ["use_threads"]

_before = torch.get_num_threads()
AVAILABLE = get_num_threads()  # starts numba's threads, and with OpenMP sets torch's number as well
torch.set_num_threads(_before)


def use_threads() -> int:
    """Give numba torch's number of threads, as far as it has them, and return it."""
    count = min(torch.get_num_threads(), AVAILABLE)
    set_num_threads(count)
    return count
