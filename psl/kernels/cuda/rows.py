"""Rows of unit length, rows looked up in a table, and the derivatives of both, on a GPU."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from psl.kernels.cuda.maths import blocks, on, warps

__all__ = ["lookup_backward", "unit_rows", "unit_rows_backward"]

SHORTEST = tl.constexpr(1e-12)  # as torch.nn.functional.normalize
ROWS = 16  # of a table, at once
IDS = 1024  # of a batch, compared at once


@triton.jit
def _unit(x, out, inverse, rows, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    k = tl.arange(0, WIDTH)
    place, there = i[:, None] * dim + k[None, :], (i < rows)[:, None] & (k < dim)[None, :]
    row = tl.load(x + place, mask=there, other=0.0)
    length = tl.sqrt(tl.sum(row * row, axis=1))
    # A length that is not a number stays one: a diverging run must show.
    factor = 1.0 / tl.where(length < SHORTEST, SHORTEST, length)
    tl.store(inverse + i, factor, mask=i < rows)
    tl.store(out + place, row * factor[:, None], mask=there)


@triton.jit
def _unit_backward(
    grad, out, inverse, grad_x, rows, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    k = tl.arange(0, WIDTH)
    place, there = i[:, None] * dim + k[None, :], (i < rows)[:, None] & (k < dim)[None, :]
    g = tl.load(grad + place, mask=there, other=0.0)
    row = tl.load(out + place, mask=there, other=0.0)
    factor = tl.load(inverse + i, mask=i < rows, other=0.0)
    along = tl.sum(g * row, axis=1)
    along = tl.where(factor * SHORTEST >= 1.0, 0.0, along)  # the length was held by a constant
    tl.store(grad_x + place, (g - along[:, None] * row) * factor[:, None], mask=there)


@triton.jit
def _add_rows(grad, ids, out, count, num_rows, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Add up the rows that share an id, in their order; the first of them does it for all."""
    b = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)
    real = k < dim
    mine = tl.load(ids + b)
    acc = tl.load(grad + b * dim + k, mask=real, other=0.0)
    earlier = 0
    for start in range(0, count, BLOCK):
        j = start + tl.arange(0, BLOCK)
        same = (tl.load(ids + j, mask=j < count, other=-1) == mine) & (j < count)
        earlier += tl.sum(tl.where(same & (j < b), 1, 0), axis=0)
        left = same & (j > b) & (earlier == 0)
        while tl.sum(tl.where(left, 1, 0), axis=0) > 0:
            nearest = tl.min(tl.where(left, j, count), axis=0).to(tl.int64)
            acc += tl.load(grad + nearest * dim + k, mask=real, other=0.0)
            left = left & (j > nearest)
    known = (mine >= 0) & (mine < num_rows) & (earlier == 0)
    tl.store(out + mine * dim + k, acc, mask=real & known)


def unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of ``x`` (M, d) at unit length, and the factors (M,) that made them so."""
    out, inverse = torch.empty_like(x), x.new_empty(len(x))
    rows, width = blocks(x.shape[1], ROWS)
    with on(x):
        _unit[(triton.cdiv(len(x), rows),)](
            x,
            out,
            inverse,
            len(x),
            x.shape[1],
            BLOCK=rows,
            WIDTH=width,
            num_warps=warps(rows, width),
        )
    return out, inverse


def unit_rows_backward(grad: Tensor, out: Tensor, inverse: Tensor) -> Tensor:
    """Return the gradient in ``x`` from the gradient in ``out``, shapes (M, d)."""
    grad_x = torch.empty_like(out)
    rows, width = blocks(out.shape[1], ROWS)
    with on(out):
        _unit_backward[(triton.cdiv(len(out), rows),)](
            grad, out, inverse, grad_x, len(out), out.shape[1],
            BLOCK=rows, WIDTH=width, num_warps=warps(rows, width),
        )  # fmt: skip
    return grad_x


def lookup_backward(grad: Tensor, ids: Tensor, num_rows: int) -> Tensor:
    """Return the gradient of a table (M, d) from that of its rows ``ids`` (B,), shape (B, d).

    Each row of the batch asks all the others for its id, which costs ``B^2`` comparisons.
    """
    (batch, dim), width = grad.shape, blocks(grad.shape[1], 1)[1]
    out = grad.new_zeros(num_rows, dim)
    block = min(triton.next_power_of_2(max(batch, 16)), IDS)
    with on(grad):
        _add_rows[(batch,)](grad, ids, out, batch, num_rows, dim, BLOCK=block, WIDTH=width)
    return out
