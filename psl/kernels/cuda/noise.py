"""The noise of XSimGCL in one pass over the rows it is for, on a GPU."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from psl.kernels.cuda.maths import blocks, on, uniform, warps
from psl.kernels.cuda.rows import SHORTEST

__all__ = ["orthant_noise"]

ROWS = 16  # at once


@triton.jit
def _noise(x, key, out, rows, dim, eps, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    k = tl.arange(0, WIDTH)
    place, there = i[:, None] * dim + k[None, :], (i < rows)[:, None] & (k < dim)[None, :]
    drawn = tl.where(there, uniform(tl.load(key), place).to(tl.float32), 0.0)
    length = tl.sqrt(tl.sum(drawn * drawn, axis=1))
    factor = eps / tl.where(length < SHORTEST, SHORTEST, length)
    side = tl.load(x + place, mask=there, other=0.0)
    sign = tl.where(side > 0.0, 1.0, 0.0) - tl.where(side < 0.0, 1.0, 0.0)
    tl.store(out + place, drawn * factor[:, None] * sign, mask=there)


def orthant_noise(x: Tensor, key: int | Tensor, eps: float) -> Tensor:
    """Return vectors of length ``eps`` in the orthants of the rows of ``x``, shape (M, d).

    A key on the device may change between the replays of a CUDA graph.
    """
    if not isinstance(key, Tensor):
        key = torch.full((), key, dtype=torch.int64, device=x.device)
    out = torch.empty_like(x)
    rows, width = blocks(x.shape[1], ROWS)
    with on(x):
        _noise[(triton.cdiv(len(x), rows),)](
            x, key, out, len(x), x.shape[1], eps,
            BLOCK=rows, WIDTH=width, num_warps=warps(rows, width),
        )  # fmt: skip
    return out
