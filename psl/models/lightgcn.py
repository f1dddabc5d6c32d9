"""LightGCN and LightGCN++: embeddings that are propagated along the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from psl.interactions import Interactions
from psl.models.graph import Graph
from psl.models.matrix_factorization import MatrixFactorization
from psl.ops import unit_rows, upcast_half

__all__ = ["GraphModel", "LightGCN", "LightGCNPlusPlus", "mean_of_layers"]


class GraphModel(MatrixFactorization):
    """Free embeddings of the users and items of a train set, and graphs of its pairs."""

    def __init__(self, train: Interactions, dim: int, **options: Any) -> None:
        super().__init__(train.num_users, train.num_items, dim, **options)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GraphModel:
        """Let the graphs follow the parameters to their device and dtype."""
        super()._apply(fn, recurse)
        for graph in vars(self).values():
            if isinstance(graph, Graph):
                graph.to(self.user.device, self.user.dtype)
        return self


class LightGCN(GraphModel):
    """Mean of the embeddings after 0, 1, ..., L propagations (He et al. 2020; Appendix B.4).

    Parameters
    ----------
    train : Interactions
        Its pairs are the edges of the graph.
    dim : int
    layers : int
        The paper's L, 2.
    **options
        As :class:`MatrixFactorization`.
    """

    def __init__(self, train: Interactions, dim: int, *, layers: int = 2, **options: Any) -> None:
        super().__init__(train, dim, **options)
        self.graph, self.layers = Graph(train), layers

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the mean over the layers, the free embeddings included."""
        users: Tensor = self.user
        items: Tensor = self.item
        all_users, all_items = users, items
        for _ in range(self.layers):
            users, items = self.graph.propagate(users, items)
            all_users, all_items = all_users + users, all_items + items
        return all_users / (self.layers + 1), all_items / (self.layers + 1)


def mean_of_layers(layers: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the means of the users' tables and of the items'."""
    users, items = zip(*layers, strict=True)
    return sum(users) / len(layers), sum(items) / len(layers)


class LightGCNPlusPlus(GraphModel):
    r"""LightGCN of unit vectors, with weights of its own for degrees and layers (Lee et al. 2024).

    A propagation scales each neighbour to length 1.  A node of degree :math:`n` with neighbours
    :math:`j` of degrees :math:`n_j` gets

    .. math:: e^{(l+1)} = \sum_j n^{-\alpha} n_j^{-\beta} e_j^{(l)} / \|e_j^{(l)}\|,

    and its embedding is :math:`\gamma e^{(0)} + (1 - \gamma) \sum_{l=1}^L e^{(l)} / L`.  There is a
    first derivative only.

    Parameters
    ----------
    train, dim, **options
        As :class:`LightGCN`.
    layers : int
        L; 2 in the authors' code.
    norm_exponent, neighbor_exponent, own_weight : float
        :math:`\alpha`, :math:`\beta` and :math:`\gamma`; what the authors' code recommends.
    """

    def __init__(
        self,
        train: Interactions,
        dim: int,
        *,
        layers: int = 2,
        norm_exponent: float = 0.6,
        neighbor_exponent: float = -0.1,
        own_weight: float = 0.2,
        **options: Any,
    ) -> None:
        super().__init__(train, dim, **options)
        self.layers, self.own_weight = layers, own_weight
        user = train.degrees[train.users].astype(float)
        item = train.popularity[train.items].astype(float)
        self.users_graph = Graph(train, user**-norm_exponent * item**-neighbor_exponent)
        self.items_graph = Graph(train, item**-norm_exponent * user**-neighbor_exponent)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the free embeddings and the mean over layers 1 to L."""
        sides: tuple[Tensor, Tensor] = self.user, self.item
        layers = []
        for _ in range(self.layers):
            users, items = map(unit_rows, sides)
            sides = self.users_graph.sum_items(items), self.items_graph.sum_users(users)
            layers.append(sides)
        (users, items), g = mean_of_layers(layers), self.own_weight
        own_users, own_items = upcast_half(self.user), upcast_half(self.item)
        return g * own_users + (1 - g) * users, g * own_items + (1 - g) * items
