"""The bipartite graph of users and items, and one step of propagation along it."""

import warnings
from copy import copy
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from psl.interactions import Interactions
from psl.kernels.dispatch import choose
from psl.ops.precision import full_precision

__all__ = ["Graph"]


@full_precision
def _product(x: Tensor, matrix: Tensor) -> Tensor:
    if x.ndim != 2 or len(x) != matrix.shape[1]:  # a kernel sees addresses, no shapes
        raise ValueError(f"expected embeddings ({matrix.shape[1]}, d), got {tuple(x.shape)}")
    x = x.contiguous()
    kernel = choose("csr_product", x)
    return kernel(matrix, x) if kernel else matrix @ x


class _Multiply(torch.autograd.Function):
    """Sparse times dense; only the dense factor gets a gradient, by the transposed matrix."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(matrix, transposed)
        return _product(x, matrix)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        matrix, transposed = ctx.saved_tensors
        # By the same function, with the blocks in each other's place: it can be derived again.
        return None, None, _Multiply.apply(transposed, matrix, grad)


class Graph:
    r"""Symmetrically normalised adjacency :math:`D^{-1/2} A D^{-1/2}` of users and items.

    It is kept as its two blocks, users by items and items by users, in CSR: half the traffic of
    the square matrix.  A node without an edge stays at zero.  Weights are float32, or float64 where
    the embeddings are.

    Parameters
    ----------
    train : Interactions
        Its pairs are the edges; no self-loops.
    weight : ndarray of float64, shape (pairs,), optional
        Of each edge, in place of the symmetric normalisation.
    """

    def __init__(self, train: Interactions, weight: np.ndarray | None = None) -> None:
        if weight is None:
            weight = 1 / np.sqrt(train.degrees[train.users] * train.popularity[train.items])
        shape = (train.num_users, train.num_items)
        forth = csr_matrix((weight, train.items, train.indptr), shape)
        # In float64, on the host: a model made double must not have weights rounded before.
        self._exact = _csr(forth), _csr(forth.T.tocsr())
        self.to_users, self.to_items = (block.float() for block in self._exact)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the blocks, which torch's own deep copy cannot; the host's never change."""
        twin = copy(self)
        twin.to_users, twin.to_items = self.to_users.clone(), self.to_items.clone()
        return twin

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move both blocks, to another dtype too if one is given; returns itself.

        For a half-precision dtype they stay float32: no sparse product takes less.
        """
        kind = torch.promote_types(dtype or self.to_users.dtype, torch.float32)
        blocks = (self.to_users, self.to_items) if kind == self.to_users.dtype else self._exact
        self.to_users, self.to_items = (block.to(device, kind) for block in blocks)
        return self

    def propagate(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sums over neighbours, shapes (U, d) and (I, d).

        They are of the dtype of the weights, also under autocast.  Raises ValueError for another
        number of rows.
        """
        return self.sum_items(items), self.sum_users(users)

    def sum_items(self, items: Tensor) -> Tensor:
        """Return each user's weighted sum of her items, shape (U, d), as :meth:`propagate`."""
        return _Multiply.apply(self.to_users, self.to_items, items.to(self.to_users.dtype))

    def sum_users(self, users: Tensor) -> Tensor:
        """Return each item's weighted sum of its users, shape (I, d), as :meth:`propagate`."""
        return _Multiply.apply(self.to_items, self.to_users, users.to(self.to_users.dtype))


def _csr(matrix: csr_matrix) -> Tensor:
    kind = np.int32 if matrix.nnz < 2**31 else np.int64  # half the traffic where it can be
    with warnings.catch_warnings():  # torch calls its CSR layout a prototype, once a process
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(kind)),
            torch.from_numpy(matrix.indices.astype(kind)),
            torch.from_numpy(matrix.data),
            matrix.shape,
            device="cpu",  # not the process's default, which may be another
            check_invariants=True,
        )
