"""One step of propagation: a sparse matrix in CSR times embeddings.

Each row of the result is summed in registers, and is written once.  Embeddings rounded to bfloat16
were tried: on a CPU packing them costs what the halved traffic saves.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import prange
from torch import Tensor

from psl.kernels.cpu.compiling import compiled, use_threads
from psl.kernels.cpu.maths import f4, u8


@cache
def _product(dim: int) -> Any:
    @compiled
    def kernel(indptr, columns, values, first, x, out):
        for t in prange(len(first) - 1):
            acc = np.empty(dim, f4)
            for i in range(first[t], first[t + 1]):
                for k in range(dim):
                    acc[k] = f4(0)
                for j in range(indptr[i], indptr[i + 1]):
                    w, c = values[j], u8(columns[j])
                    for k in range(dim):
                        acc[k] += w * x[c, k]
                for k in range(dim):
                    out[i, k] = acc[k]

    return kernel


def csr_product(matrix: Tensor, x: Tensor) -> Tensor:
    """Return ``matrix`` (M, K), sparse CSR and sound, times ``x`` (K, d); shape (M, d).

    Each thread has about as many entries of the matrix as the next.
    """
    threads = use_threads()
    indptr, columns, values = (
        part.numpy() for part in (matrix.crow_indices(), matrix.col_indices(), matrix.values())
    )
    ends = np.arange(1, threads) * len(columns) // threads
    first = np.concatenate([[0], np.searchsorted(indptr, ends), [len(matrix)]])
    out = x.new_empty(len(matrix), x.shape[1])
    _product(x.shape[1])(indptr, columns, values, first, x.numpy(), out.numpy())
    return out
