"""What is done with each row of a table in one visit: unit length, its derivative, noise."""

from functools import cache
from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from psl.kernels.cpu.compiling import compiled, use_threads
from psl.kernels.cpu.maths import f4, u8, uniform

SHORTEST = f4(1e-12)  # as torch.nn.functional.normalize


@cache
def _forward(dim: int) -> Any:
    @compiled
    def kernel(x, out, inverse):
        for i in prange(x.shape[0]):
            square = f4(0)
            for k in range(dim):
                square += x[i, k] * x[i, k]
            length = np.sqrt(square)
            # A length that is not a number stays one: a diverging run must show.
            inverse[i] = f4(1) / (SHORTEST if length < SHORTEST else length)
            for k in range(dim):
                out[i, k] = x[i, k] * inverse[i]

    return kernel


@cache
def _backward(dim: int) -> Any:
    @compiled
    def kernel(grad, out, inverse, grad_x):
        for i in prange(out.shape[0]):
            along = f4(0)
            for k in range(dim):
                along += grad[i, k] * out[i, k]
            if inverse[i] * SHORTEST >= f4(1):  # the length was replaced by a constant
                along = f4(0)
            for k in range(dim):
                grad_x[i, k] = (grad[i, k] - along * out[i, k]) * inverse[i]

    return kernel


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


def unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of ``x`` (M, d) at unit length, and the factors (M,) that made them so."""
    use_threads()
    out, inverse = torch.empty_like(x), x.new_empty(len(x))
    _forward(x.shape[1])(x.numpy(), out.numpy(), inverse.numpy())
    return out, inverse


def unit_rows_backward(grad: Tensor, out: Tensor, inverse: Tensor) -> Tensor:
    """Return the gradient in ``x`` from the gradient in ``out``, shapes (M, d)."""
    use_threads()
    grad_x = torch.empty_like(out)
    _backward(out.shape[1])(grad.numpy(), out.numpy(), inverse.numpy(), grad_x.numpy())
    return grad_x


def orthant_noise(x: Tensor, key: int | Tensor, eps: float) -> Tensor:
    """Return vectors of length ``eps`` in the orthants of the rows of ``x``, shape (M, d)."""
    use_threads()
    out = torch.empty_like(x)
    _noise(x.shape[1])(x.numpy(), u8(int(key)), f4(eps), out.numpy())
    return out
