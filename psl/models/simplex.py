"""SimpleX: a user as a mix of her own vector and the mean of her items."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from psl.interactions import Interactions
from psl.models.graph import Graph
from psl.models.lightgcn import GraphModel
from psl.ops import sampled_scores, upcast_half

__all__ = ["SimpleX"]


class SimpleX(GraphModel):
    r"""Matrix factorisation in which a user is also the mean of her items (Mao et al. 2021).

    With her :math:`n` training items the embedding of a user is

    .. math:: g e_u + (1 - g) W \sum_{i} e_i / n,

    and an item's is its own.  The mean is over all of them, without the cut-off and dropout of
    public implementations.  Its authors score by the cosine and train :func:`psl.losses.ccl_loss`.

    Parameters
    ----------
    train, dim, **options
        As :class:`LightGCN`; ``generator`` draws W, shape (d, d), last (Glorot's normal law).
    own_weight : float
        g; 0.5 as in RecBole and the paper's public code.
    """

    def __init__(
        self,
        train: Interactions,
        dim: int,
        *,
        generator: torch.Generator,
        own_weight: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(train, dim, generator=generator, **options)
        self.own_weight = own_weight
        self.mix = nn.Parameter(nn.init.xavier_normal_(torch.empty(dim, dim), generator=generator))
        self.graph = Graph(train, 1 / train.degrees[train.users])

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the mixed vectors of all users (U, d), and the items' own (I, d)."""
        mean = self.graph.sum_items(self.item)
        mapped = sampled_scores(mean, self.mix, None)  # mean @ W.T
        return self.own_weight * upcast_half(self.user) + (1 - self.own_weight) * mapped, self.item
