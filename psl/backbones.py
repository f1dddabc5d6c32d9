"""Recommenders: a table of users and a table of items whose inner product is the score."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from psl.errors import UnknownNameError

__all__ = ["BACKBONES", "MatrixFactorization", "get_backbone"]


class MatrixFactorization(nn.Module):
    """One free embedding for each user and item (Appendix B.4).

    Parameters
    ----------
    num_users, num_items, dim : int
    score : {"cosine", "inner"}
        ``"cosine"`` scores ``f = cos / 2`` (the scale is on the user side), ``"inner"`` the plain
        inner product.
    init_std : float
        Standard deviation of the Gaussian initial values.
    generator : torch.Generator
        Stream of the initial values.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        dim: int,
        *,
        score: str,
        init_std: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.score = score

        def table(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, dim, generator=generator) * init_std)

        self.user, self.item = table(num_users), table(num_items)

    def embed(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings of ``users`` (B, d) and of all items (I, d), ready to be multiplied."""
        u, v = self.user.index_select(0, users), self.item
        return (normalize(u, dim=1) / 2, normalize(v, dim=1)) if self.score == "cosine" else (u, v)


BACKBONES: dict[str, type[MatrixFactorization]] = {"mf": MatrixFactorization}


def get_backbone(name: str) -> type[MatrixFactorization]:
    """Look a backbone up by name; raises UnknownNameError."""
    try:
        return BACKBONES[name]
    except KeyError:
        raise UnknownNameError("backbone", name, BACKBONES) from None
