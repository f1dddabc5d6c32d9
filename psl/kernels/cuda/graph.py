"""One step of propagation on a GPU: a sparse matrix in CSR times embeddings.

Each row is added up in the order of its entries, so that the same input gives the same bits; the
product of torch has an order of its own each time.
"""

import triton
import triton.language as tl
from torch import Tensor

from psl.kernels.cuda.maths import layout, load_rows, on

ENTRIES = 16  # of a row, added up at once


@triton.jit
def _csr_rows(
    indptr, columns, values, x, out, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)
    real = k < dim
    acc = tl.zeros((WIDTH,), tl.float32)
    end = tl.load(indptr + i + 1)
    for start in range(tl.load(indptr + i), end, BLOCK):
        j = start + tl.arange(0, BLOCK)
        there = j < end
        column = tl.load(columns + j, mask=there, other=0).to(tl.int64)
        value = tl.load(values + j, mask=there, other=0.0)
        rows = load_rows(x, column, there, dim, WIDTH)
        acc += tl.sum(value[:, None] * rows, axis=0)
    tl.store(out + i * dim + k, acc, mask=real)


def csr_product(matrix: Tensor, x: Tensor) -> Tensor:
    """Return ``matrix`` (M, K), sparse CSR and sound, times ``x`` (K, d); shape (M, d)."""
    out = x.new_empty(len(matrix), x.shape[1])
    with on(x):
        _csr_rows[(len(matrix),)](
            matrix.crow_indices(), matrix.col_indices(), matrix.values(), x, out, x.shape[1],
            **layout(x.shape[1], ENTRIES),
        )  # fmt: skip
    return out
