"""The surrogate activations and random numbers on a GPU, and what every launch needs.

Triton cannot call torch: :mod:`psl.activations` and :func:`psl.streams.uniforms` stand here again,
held to the first by ``test_softmax_losses`` and ``test_the_sampler_draws_what_torch_draws``.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

EPS = tl.constexpr(torch.finfo(torch.float32).eps)
HUGE = tl.constexpr(torch.finfo(torch.float32).max)
LN2 = tl.constexpr(0.6931471805599453)
HALF_PI = tl.constexpr(1.5707963267948966)

EACH = 1024  # numbers of a block that a warp holds: 32 for each of its threads


def on(tensor: Tensor) -> AbstractContextManager[object]:
    """Make the tensor's GPU the current one: Triton launches there, wherever its arguments lie."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def layout(dim: int, rows: int) -> dict[str, int]:
    """Return rows and width, powers of two, of a block of embeddings, and the warps that hold it.

    ``rows`` is their number at d = 64, where few warps with many rows in flight were the fastest on
    an H200; of wider rows there are fewer, down to eight.
    """
    width = max(triton.next_power_of_2(dim), 16)
    block = min(max(64 * rows // width, 8), 4 * rows)
    return {"BLOCK": block, "WIDTH": width, "num_warps": min(max(block * width // EACH, 1), 32)}


def grid_of(rows: int, columns: int, block: int) -> tuple[int]:
    """Return the grid of one program for each block of each row, see :func:`row_and_column`.

    It has one dimension: the others of a CUDA grid end at 65,535, the first at 2^31 - 1.
    """
    programs = rows * triton.cdiv(columns, block)
    if programs >= 1 << 31:
        raise ValueError(f"{rows} rows of {columns} are too many for one call on a GPU")
    return (programs,)


@triton.jit
def row_and_column(columns, BLOCK: tl.constexpr):
    """Return which row is this program's, and its first column."""
    program, each = tl.program_id(0), tl.cdiv(columns, BLOCK)
    return (program // each).to(tl.int64), (program % each) * BLOCK


@triton.jit
def row_tile(rows, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Return the rows of this program, their numbers' offsets in a table, and which there are."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    k = tl.arange(0, WIDTH)
    return i, i[:, None] * dim + k[None, :], (i < rows)[:, None] & (k < dim)[None, :]


@triton.jit
def load_rows(table, ids, there, dim, WIDTH: tl.constexpr):
    """Return the rows ``ids`` of a table, as a block; zeros for a row that is not ``there``."""
    k = tl.arange(0, WIDTH)
    mask = there[:, None] & (k < dim)[None, :]
    return tl.load(table + ids[:, None] * dim + k[None, :], mask=mask, other=0.0)


@triton.jit
def nan_if_any(condition):
    """Return NaN if anything in ``condition`` is true, else 0: what is added to a row's loss."""
    return tl.sum(tl.where(condition, float("nan"), 0.0), axis=0)


@triton.jit
def uniform(key, n):
    """Return number ``n`` of :func:`psl.streams.uniforms`, in [0, 1)."""
    h = key.to(tl.uint64) + n.to(tl.uint64) * 0x9E3779B97F4A7C15
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9
    h = (h ^ (h >> 27)) * 0x94D049BB133111EB
    h = h ^ (h >> 31)
    return (h >> 11).to(tl.float64) * 1.1102230246251565e-16  # 2^-53


@triton.jit
def _atan(x):
    """Arc tangent to 3e-7: inverted above 1, the angle halved once, then its series.

    Written out because Triton's interpreter has no arc tangent.
    """
    steep = tl.abs(x) > 1.0
    y = tl.where(steep, 1.0 / tl.where(steep, x, 1.0), x)
    y = y / (1.0 + tl.sqrt(1.0 + y * y))  # |y| <= tan(pi / 8)
    z = y * y
    p = -1.0 / 15
    p = p * z + 1.0 / 13
    p = p * z - 1.0 / 11
    p = p * z + 1.0 / 9
    p = p * z - 1.0 / 7
    p = p * z + 1.0 / 5
    p = p * z - 1.0 / 3
    p = p * z + 1.0
    angle = 2.0 * p * y
    return tl.where(steep, tl.where(x > 0.0, HALF_PI, -HALF_PI) - angle, angle)


@triton.jit
def _log1p_exp(x):
    """Return ``log(1 + exp(x))`` and its derivative, without overflow."""
    e = tl.exp(-tl.abs(x))
    return tl.maximum(x, 0.0) + tl.log(1.0 + e), tl.where(x > 0.0, 1.0, e) / (1.0 + e)


@triton.jit
def log_sigma_and_slope(d, ACTIVATION: tl.constexpr):
    """Return log sigma(d) and its derivative, as :mod:`psl.activations` defines them.

    ``ACTIVATION``, a name, is known at compile time, and one branch is left.
    """
    if ACTIVATION == "exp":
        log_sigma, slope = d, tl.full(d.shape, 1.0, tl.float32)
    elif ACTIVATION == "tanh":
        log_sigma, slope = _log1p_exp(-2.0 * d)  # 1 + tanh d = 2 / (1 + exp(-2 d))
        log_sigma, slope = -log_sigma + LN2, 2.0 * slope
    elif ACTIVATION == "atan":
        x = 1.0 + _atan(d)
        held = tl.maximum(x, EPS)
        log_sigma, slope = tl.log(held), tl.where(x > EPS, 1.0, 0.0) / (held * (1.0 + d * d))
    elif ACTIVATION == "relu":
        x = 1.0 + d
        held = tl.maximum(x, EPS)
        log_sigma, slope = tl.log(held), tl.where(x > EPS, 1.0, 0.0) / held
    else:
        tl.static_assert(ACTIVATION == "softplus", "an activation without a kernel")
        log_sigma, slope = _log1p_exp(d)
    return log_sigma, slope
