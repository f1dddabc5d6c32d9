"""What a process makes its tensors of where nobody says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["other_defaults"]


@contextmanager
def other_defaults() -> Iterator[None]:
    """Make float64 the dtype and ``meta`` the device, as a program around the package may."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            yield
    finally:
        torch.set_default_dtype(before)
