"""Whether the kernels serve: their compiler is installed, and nobody turned them off."""

from __future__ import annotations

import os
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

__all__ = ["cpu_kernels", "gpu_kernels"]


@cache
def _load() -> ModuleType | None:
    try:
        from psl import kernels
    except ImportError:  # the extra `fast` is not installed
        return None
    return kernels


@cache
def _load_cuda() -> ModuleType | None:
    try:
        from psl import kernels_cuda
    except ImportError:  # Triton comes with PyTorch's builds for CUDA on Linux, and with no other
        return None
    return kernels_cuda


@cache
def _compiles_for(device: torch.device) -> bool:
    """Whether Triton compiles for this GPU: Volta (7.0) and later."""
    return torch.cuda.get_device_capability(device) >= (7, 0)


def _served(tensor: Tensor) -> bool:
    known = tensor.dtype in (torch.float32, torch.int64)
    return known and os.environ.get("PSL_KERNELS", "on") != "off"


def cpu_kernels(tensor: Tensor) -> ModuleType | None:
    """Return :mod:`psl.kernels` if it can work on this tensor, else ``None``.

    It takes integers and float32 on a CPU.  ``PSL_KERNELS=off`` in the environment turns it off.
    """
    return _load() if tensor.device.type == "cpu" and _served(tensor) else None


def gpu_kernels(tensor: Tensor) -> ModuleType | None:
    """Return :mod:`psl.kernels_cuda` if it can work on this tensor, else ``None``.

    It takes integers and float32 on a CUDA device.  ``PSL_KERNELS=off`` turns it off.  For tests,
    ``TRITON_INTERPRET=1`` with ``PSL_TRITON_CPU=1``, both set before Python starts, gives it the
    tensors on a CPU, by way of Triton's slow interpreter.
    """
    if not _served(tensor):
        return None
    if tensor.device.type == "cuda":
        return _load_cuda() if _compiles_for(tensor.device) else None
    asked = all(os.environ.get(name) == "1" for name in ("TRITON_INTERPRET", "PSL_TRITON_CPU"))
    return _load_cuda() if tensor.device.type == "cpu" and asked else None
