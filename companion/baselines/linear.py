"""Baselines whose scores are linear in what a user has, in closed form: nothing is trained."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from companion.serving import Score
from psl.errors import DataError
from psl.interactions import Interactions

__all__ = ["ease", "item_knn", "matrix", "popular"]

MOST_ITEMS = 20_000  # of EASE: a matrix of items by items has 3.2 GB in float64


def matrix(train: Interactions) -> csr_matrix:
    """Return the pairs as a sparse matrix of ones, users by items, float64."""
    shape = train.num_users, train.num_items
    return csr_matrix((np.ones(len(train)), train.items, train.indptr), shape)


def popular(train: Interactions) -> Score:
    """Score an item by how many users have it, the same for every user."""
    counts = torch.from_numpy(train.popularity).double()
    return lambda rows: counts.repeat(len(rows), 1)


def item_knn(train: Interactions, neighbours: int = 100) -> Score:
    r"""Score by the nearest neighbours of a user's items (Deshpande and Karypis 2004).

    :math:`s_{uj} = \sum_{i \in I_u, j \in N(i)} c_{ij}`, with the cosine of two items' users
    :math:`c_{ij} = |U_i \cap U_j| / \sqrt{|U_i| |U_j|}`; ``N(i)`` are the ``neighbours`` items
    nearest to i, without i.
    """
    x = matrix(train)
    unit = x @ _diagonal(1 / np.sqrt(np.maximum(train.popularity, 1)))
    transposed, kept = unit.T.tocsr(), []
    for first in range(0, train.num_items, 512):
        near = torch.from_numpy((transposed[first : first + 512] @ unit).toarray())
        own = torch.arange(len(near))
        near[own, own + first] = 0
        best, index = near.topk(min(neighbours, train.num_items), dim=1)
        kept.append(csr_matrix(torch.zeros_like(near).scatter_(1, index, best).numpy()))
    similarity = vstack(kept, format="csr")
    return lambda rows: torch.from_numpy((x[rows.numpy()] @ similarity).toarray())


def ease(train: Interactions, ridge: float = 100.0) -> Score:
    r"""Score by the linear autoencoder without a diagonal, EASE (Steck 2019).

    :math:`\hat X = X B` with :math:`B_{ij} = -P_{ij} / P_{jj}`, :math:`B_{jj} = 0`, where
    :math:`P = (X^\top X + \lambda)^{-1}`: of all B without a diagonal the one that minimises
    :math:`\|X - X B\|^2 + \lambda \|B\|^2`.

    Raises
    ------
    DataError
        Of more than 20,000 items: the inverse is dense.
    """
    if train.num_items > MOST_ITEMS:
        raise DataError(
            f"EASE inverts a matrix of {train.num_items:,} by {train.num_items:,} items; it is "
            f"taken up to {MOST_ITEMS:,}"
        )
    x = matrix(train)
    gram = torch.from_numpy((x.T @ x).toarray())
    gram.diagonal().add_(ridge)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights = (inverse / -inverse.diagonal()).fill_diagonal_(0).numpy()

    def score(rows: Tensor) -> Tensor:
        return torch.from_numpy(x[rows.numpy()] @ weights)

    return score


def _diagonal(values: np.ndarray) -> csr_matrix:
    size = np.arange(len(values) + 1)
    return csr_matrix((values, size[:-1], size))
