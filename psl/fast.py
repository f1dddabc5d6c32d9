"""Whether the CPU kernels serve: numba is installed, and nobody turned them off."""

from __future__ import annotations

import os
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

__all__ = ["cpu_kernels"]


@cache
def _load() -> ModuleType | None:
    try:
        from psl import kernels
    except ImportError:  # the extra `fast` is not installed
        return None
    return kernels


def cpu_kernels(tensor: Tensor) -> ModuleType | None:
    """Return :mod:`psl.kernels` if it can work on this tensor, else ``None``.

    It takes integers and float32 on a CPU.  ``PSL_KERNELS=off`` in the environment turns it off.
    """
    served = tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.int64)
    return _load() if served and os.environ.get("PSL_KERNELS", "on") != "off" else None
