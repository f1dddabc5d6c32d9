"""What is done with each row of a table on a GPU: unit length, noise, a lookup's gradient."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from psl.kernels.cuda.maths import layout, on, row_tile, uniform

SHORTEST = tl.constexpr(1e-12)  # as torch.nn.functional.normalize
ROWS = 16  # of a table, at once
IDS = 1024  # of a batch, compared at once


@triton.jit
def _unit(x, out, inverse, rows, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    i, offset, real = row_tile(rows, dim, BLOCK, WIDTH)
    row = tl.load(x + offset, mask=real, other=0.0)
    length = tl.sqrt(tl.sum(row * row, axis=1))
    # A length that is not a number stays one: a diverging run must show.
    factor = 1.0 / tl.where(length < SHORTEST, SHORTEST, length)
    tl.store(inverse + i, factor, mask=i < rows)
    tl.store(out + offset, row * factor[:, None], mask=real)


@triton.jit
def _unit_backward(
    grad, out, inverse, grad_x, rows, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    i, offset, real = row_tile(rows, dim, BLOCK, WIDTH)
    g = tl.load(grad + offset, mask=real, other=0.0)
    row = tl.load(out + offset, mask=real, other=0.0)
    factor = tl.load(inverse + i, mask=i < rows, other=0.0)
    along = tl.sum(g * row, axis=1)
    along = tl.where(factor * SHORTEST >= 1.0, 0.0, along)  # the length was held by a constant
    tl.store(grad_x + offset, (g - along[:, None] * row) * factor[:, None], mask=real)


@triton.jit
def _noise(x, key, out, rows, dim, eps, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    _, offset, real = row_tile(rows, dim, BLOCK, WIDTH)
    drawn = tl.where(real, uniform(tl.load(key), offset).to(tl.float32), 0.0)
    length = tl.sqrt(tl.sum(drawn * drawn, axis=1))
    factor = eps / tl.where(length < SHORTEST, SHORTEST, length)
    side = tl.load(x + offset, mask=real, other=0.0)
    sign = tl.where(side > 0.0, 1.0, 0.0) - tl.where(side < 0.0, 1.0, 0.0)
    tl.store(out + offset, drawn * factor[:, None] * sign, mask=real)


@triton.jit
def _add_rows(grad, ids, out, count, num_rows, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Add up the rows that share an id, in their order; the first of them does it for all."""
    b = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)
    real = k < dim
    own_id = tl.load(ids + b)
    acc = tl.load(grad + b * dim + k, mask=real, other=0.0)
    earlier = 0
    for start in range(0, count, BLOCK):
        j = start + tl.arange(0, BLOCK)
        same = (tl.load(ids + j, mask=j < count, other=-1) == own_id) & (j < count)
        earlier += tl.sum(tl.where(same & (j < b), 1, 0), axis=0)
        left = same & (j > b) & (earlier == 0)
        while tl.sum(tl.where(left, 1, 0), axis=0) > 0:
            nearest = tl.min(tl.where(left, j, count), axis=0).to(tl.int64)
            acc += tl.load(grad + nearest * dim + k, mask=real, other=0.0)
            left = left & (j > nearest)
    known = (own_id >= 0) & (own_id < num_rows) & (earlier == 0)
    tl.store(out + own_id * dim + k, acc, mask=real & known)


def unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of ``x`` (M, d) at unit length, and the factors (M,) that made them so."""
    out, inverse = torch.empty_like(x), x.new_empty(len(x))
    shape = layout(x.shape[1], ROWS)
    with on(x):
        _unit[(triton.cdiv(len(x), shape["BLOCK"]),)](x, out, inverse, *x.shape, **shape)
    return out, inverse


def unit_rows_backward(grad: Tensor, out: Tensor, inverse: Tensor) -> Tensor:
    """Return the gradient in ``x`` from the gradient in ``out``, shapes (M, d)."""
    grad_x = torch.empty_like(out)
    shape = layout(out.shape[1], ROWS)
    grid = (triton.cdiv(len(out), shape["BLOCK"]),)
    with on(out):
        _unit_backward[grid](grad, out, inverse, grad_x, *out.shape, **shape)
    return grad_x


def orthant_noise(x: Tensor, key: int | Tensor, eps: float) -> Tensor:
    """Return vectors of length ``eps`` in the orthants of the rows of ``x``, shape (M, d).

    A key on the device may change between the replays of a CUDA graph.
    """
    if not isinstance(key, Tensor):
        key = torch.full((), key, dtype=torch.int64, device=x.device)
    out, shape = torch.empty_like(x), layout(x.shape[1], ROWS)
    with on(x):
        _noise[(triton.cdiv(len(x), shape["BLOCK"]),)](x, key, out, *x.shape, eps, **shape)
    return out


def lookup_backward(grad: Tensor, ids: Tensor, num_rows: int) -> Tensor:
    """Return the gradient of a table (M, d) from that of its rows ``ids`` (B,), shape (B, d).

    Each row of the batch asks all the others for its id, which costs ``B^2`` comparisons.
    """
    (batch, dim), width = grad.shape, layout(grad.shape[1], 1)["WIDTH"]
    out = grad.new_zeros(num_rows, dim)
    block = min(triton.next_power_of_2(max(batch, 16)), IDS)
    with on(grad):
        _add_rows[(batch,)](grad, ids, out, batch, num_rows, dim, BLOCK=block, WIDTH=width)
    return out
