"""The plain path: a few rows against their items or the whole catalogue, and back, in torch.

Embeddings are gathered only where that is smaller than their scores against the whole catalogue.
"""

import torch
from torch import Tensor
from torch.nn.functional import embedding

from psl.kernels.products import matmul, same_bits

__all__ = ["add_gradients", "score_rows"]


def score_rows(users: Tensor, items: Tensor, columns: Tensor | None) -> Tensor:
    """Score rows against their columns, or against the whole catalogue."""
    if columns is None:
        return matmul(users, items.T)
    if _few(columns, items):
        return torch.einsum("bd,bnd->bn", users, embedding(columns, items))
    return matmul(users, items.T).gather(1, columns)


def add_gradients(
    users: Tensor, items: Tensor, columns: Tensor | None, weight: Tensor, grad_items: Tensor
) -> Tensor:
    """Add to the items' gradient and return that of the rows."""
    if columns is not None and _few(columns, items):
        block = weight.unsqueeze(-1) * users.unsqueeze(1)
        grad_items.index_add_(0, columns.flatten(), block.flatten(0, 1))
        return torch.einsum("bn,bnd->bd", weight, embedding(columns, items))
    if columns is not None:
        weight = weight.new_zeros(len(users), len(items)).scatter_add_(1, columns, weight)
    with same_bits(*items.shape):
        grad_items.addmm_(weight.T, users)
    return matmul(weight, items)


def _few(columns: Tensor, items: Tensor) -> bool:
    """Whether gathering the columns costs less than a product with the catalogue.

    In time by far where 64 columns are fewer than the items, whatever d: both costs are
    proportional to it.  In memory only where ``M * d`` numbers are fewer than ``I`` as well.
    """
    return columns.shape[1] * max(64, items.shape[1]) < len(items)
