"""The noise of XSimGCL in one pass over the rows it is for."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from psl.kernels.cpu.compiling import compiled
from psl.kernels.cpu.maths import f4, u8
from psl.kernels.cpu.negatives import uniform
from psl.kernels.cpu.rows import SHORTEST
from psl.kernels.cpu.threads import use_threads

__all__ = ["orthant_noise"]


@cache
def _noise(dim: int) -> Any:
    @compiled
    def kernel(x, key, eps, out):
        for i in prange(x.shape[0]):
            for k in range(dim):
                out[i, k] = f4(uniform(key, i * dim + k))
            square = f4(0)
            for k in range(dim):
                square += out[i, k] * out[i, k]
            length = np.sqrt(square)
            factor = eps / (SHORTEST if length < SHORTEST else length)
            for k in range(dim):
                out[i, k] *= factor * (f4(x[i, k] > 0) - f4(x[i, k] < 0))

    return kernel


def orthant_noise(x: Tensor, key: int, eps: float) -> Tensor:
    """Return vectors of length ``eps`` in the orthants of the rows of ``x``, shape (M, d)."""
    use_threads()
    out = torch.empty_like(x)
    _noise(x.shape[1])(x.numpy(), u8(key), f4(eps), out.numpy())
    return out
