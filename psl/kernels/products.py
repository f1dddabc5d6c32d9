"""Matrix products with the same bits in one thread and in two.

In three and more MKL shares out the inner dimension of many more shapes, up to 65 columns at least:
such a product repeats itself to the bit, and differs in last digits from that of one thread.  A
record names its threads.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["matmul", "same_bits"]

FEW = 16  # rows or columns


@contextmanager
def same_bits(rows: int, columns: int) -> Iterator[None]:
    """Multiply in one thread on a CPU where the result has few rows or few columns.

    MKL then shares out the sum over the inner dimension, and how it does depends on the threads:
    measured with AVX-512 for 5, 6, 7, 9, 10 and 11 rows in two threads.  From 16 of both on, up to
    65 columns and 1024 rows, two threads gave the bits of one for inner dimensions 64, 500, 1000.
    Torch's number of threads is that of the calling thread.
    """
    threads = torch.get_num_threads()
    if min(rows, columns) >= FEW or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def matmul(a: Tensor, b: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return the product (M, N) of two matrices, into ``out`` if that is given."""
    with same_bits(len(a), b.shape[1]):
        return torch.mm(a, b, out=out)
