"""The bipartite graph of users and items, and one step of propagation along it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from psl.interactions import Interactions

__all__ = ["Graph"]


class _Multiply(torch.autograd.Function):
    """Sparse times dense; only the dense factor gets a gradient, by the transposed matrix."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(transposed)
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (transposed,) = ctx.saved_tensors
        return None, None, transposed @ grad.contiguous()


class Graph:
    r"""Symmetrically normalised adjacency :math:`D^{-1/2} A D^{-1/2}` of users and items.

    It is kept as its two blocks, users by items and items by users, in CSR: half the traffic of
    the square matrix.  A node without an edge stays at zero.

    Parameters
    ----------
    train : Interactions
        Its pairs are the edges; no self-loops.
    """

    def __init__(self, train: Interactions) -> None:
        by_user, by_item = train.degrees, train.popularity
        weight = 1 / np.sqrt(by_user[train.users] * by_item[train.items])
        shape = (train.num_users, train.num_items)
        forth = csr_matrix((weight.astype(np.float32), train.items, train.indptr), shape)
        self.to_users, self.to_items = _csr(forth), _csr(forth.T.tocsr())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Graph:
        """Move both blocks, to another dtype too if one is given; returns itself."""
        self.to_users, self.to_items = (
            block.to(device=device, dtype=dtype or block.dtype)
            for block in (self.to_users, self.to_items)
        )
        return self

    def propagate(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sums over neighbours, shapes (U, d) and (I, d)."""
        return (
            _Multiply.apply(self.to_users, self.to_items, items),
            _Multiply.apply(self.to_items, self.to_users, users),
        )


def _csr(matrix: csr_matrix) -> Tensor:
    kind = np.int32 if matrix.nnz < 2**31 else np.int64  # half the traffic where it can be
    with warnings.catch_warnings():  # torch calls its CSR layout a prototype, once a process
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(kind)),
            torch.from_numpy(matrix.indices.astype(kind)),
            torch.from_numpy(matrix.data),
            matrix.shape,
            check_invariants=True,
        )
