"""A step of Adam on a whole table, on a GPU."""

import math

import triton
import triton.language as tl
from torch import Tensor

from psl.kernels.cuda.maths import on

NUMBERS = 1024  # of a table, for each program


@triton.jit
def _adam(
    table, grad, mean, square, step, length, lr, take, log_keep, take_square, log_keep_square,
    eps, decay, BLOCK: tl.constexpr,
):  # fmt: skip
    offset = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = offset < length
    x = tl.load(table + offset, mask=real, other=0.0)
    g = tl.load(grad + offset, mask=real, other=0.0) + decay * x
    m = tl.load(mean + offset, mask=real, other=0.0)
    v = tl.load(square + offset, mask=real, other=0.0)
    m += take * (g - m)
    v += take_square * (g * g - v)
    # What the first steps lack, 1 - keep^t: in float64, for it is small at first.
    t = tl.load(step).to(tl.float64)
    rate = lr / (1.0 - tl.exp(t * log_keep)).to(tl.float32)
    whole = tl.sqrt((1.0 - tl.exp(t * log_keep_square)).to(tl.float32))
    x -= rate * m / (tl.sqrt(v) / whole + eps)
    tl.store(table + offset, x, mask=real)
    tl.store(mean + offset, m, mask=real)
    tl.store(square + offset, v, mask=real)


def adam_step(
    table: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    step: Tensor,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Move ``table`` and the two moments, in place, and return them; ``step`` () counts from 1."""
    keep, keep_square = betas  # what is taken instead, 0.1 and 0.001, has its digits from here
    with on(table):
        _adam[(triton.cdiv(table.numel(), NUMBERS),)](
            table, grad, mean, square, step, table.numel(), lr,
            1 - keep, math.log(keep), 1 - keep_square, math.log(keep_square), eps, weight_decay,
            BLOCK=NUMBERS,
        )  # fmt: skip
    return table, mean, square
