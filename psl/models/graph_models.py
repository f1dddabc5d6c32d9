"""Models of the graph of users and items: LightGCN and what came of it, and SimpleX."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Self

import torch
from torch import Tensor, nn

from psl.interactions import Interactions
from psl.models.contrast import info_nce, orthant_noise
from psl.models.graph import Graph
from psl.models.matrix_factorization import MatrixFactorization
from psl.ops import lookup, sampled_scores, unit_rows, upcast_half
from psl.streams import stream_key

__all__ = ["LightGCN", "LightGCNPlusPlus", "SimGCL", "SimpleX", "XSimGCL"]


class GraphModel(MatrixFactorization):
    """Free embeddings of the users and items of a train set, and graphs of its pairs."""

    def __init__(self, train: Interactions, dim: int, **options: Any) -> None:
        super().__init__(train.num_users, train.num_items, dim, **options)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Let the graphs follow the parameters to their device and dtype."""
        super()._apply(fn, recurse)
        for graph in vars(self).values():
            if isinstance(graph, Graph):
                graph.to(self.user.device, self.user.dtype)
        return self


def mean_of_layers(layers: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the means of the users' tables and of the items'."""
    users, items = zip(*layers, strict=True)
    return reduce(torch.add, users) / len(layers), reduce(torch.add, items) / len(layers)


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
        layers = [super().tables()]
        for _ in range(self.layers):
            layers.append(self.graph.propagate(*layers[-1]))
        return mean_of_layers(layers)


class XSimGCL(LightGCN):
    r"""LightGCN with noise after each propagation and a contrast between layers (Yu et al. 2023).

    The embedding is the mean over layers 1 to L, without the free one.  In training each layer gets
    ``sign(e) * normalize(noise) * eps``, and the model's own loss is ``contrast_weight`` times
    the InfoNCE between the final embeddings and those of the first layer, of users and of items.

    Parameters
    ----------
    train, dim, layers
        As :class:`LightGCN`; the paper's L is 3.
    contrast_weight, eps, tau : float
        Weight of the contrast (0.2; 0.05 on Amazon-Electronic), length of the noise, temperature of
        the contrast.
    **options
        As :class:`MatrixFactorization`.
    """

    def __init__(
        self,
        train: Interactions,
        dim: int,
        *,
        layers: int = 3,
        contrast_weight: float = 0.2,
        eps: float = 0.1,
        tau: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(train, dim, layers=layers, **options)
        self.contrast_weight, self.eps, self.tau = contrast_weight, eps, tau

    def noise_keys(self, key: int) -> list[int]:
        """Return a key for the users and one for the items of each propagation."""
        sides = [(layer, side) for layer in range(self.layers) for side in ("users", "items")]
        return [stream_key(key, *names) for names in sides]

    def noise(self, x: Tensor, key: int | Tensor) -> Tensor:
        """Return what is added to a table after a propagation, of its shape."""
        return orthant_noise(x, key, self.eps)

    def contrast(self, ids: Tensor, final: Tensor, first: Tensor) -> Tensor:
        """Return the InfoNCE of two tables at the ids of a batch, each id once."""
        return info_nce(lookup(ids, final), lookup(ids, first), self.tau, ids)

    def _layers(self, key: int | Sequence[int] | Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """Return the tables after each propagation, with noise if there is a key for it."""
        keys = self.noise_keys(key) if isinstance(key, int) else key
        users, items = MatrixFactorization.tables(self)
        out: list[tuple[Tensor, Tensor]] = []
        for layer in range(self.layers):
            users, items = self.graph.propagate(users, items)
            if keys is not None:
                users = users + self.noise(users, keys[2 * layer])
                items = items + self.noise(items, keys[2 * layer + 1])
            out.append((users, items))
        return out

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the mean over layers 1 to L, without noise."""
        return mean_of_layers(self._layers(None))

    def forward(
        self, users: Tensor, positive: Tensor, key: int | Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Embed a training batch with noise, and contrast the last layer with the first."""
        layers = self._layers(key)
        first, final = layers[0], mean_of_layers(layers)
        each = map(self.contrast, (users, positive), final, first)
        u, v = self.scale(lookup(users, final[0]), final[1])
        return u, v, self.contrast_weight * sum(each, u.new_zeros(()))


class SimGCL(XSimGCL):
    """XSimGCL whose scores have no noise: two noisy passes beside are contrasted (Yu et al. 2022).

    Parameters
    ----------
    train, dim, layers, eps
        As :class:`XSimGCL`.
    contrast_weight, tau : float
        Weight and temperature of the contrast.
    **options
        As :class:`MatrixFactorization`.
    """

    def __init__(
        self, *args: Any, contrast_weight: float = 0.5, tau: float = 0.2, **options: Any
    ) -> None:
        super().__init__(*args, contrast_weight=contrast_weight, tau=tau, **options)

    def noise_keys(self, key: int) -> list[int]:
        """Return the keys of one pass, then those of the other."""
        passes = (super(SimGCL, self).noise_keys(stream_key(key, view)) for view in range(2))
        return [own for keys in passes for own in keys]

    def forward(
        self, users: Tensor, positive: Tensor, key: int | Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Embed a training batch, and contrast two passes with noise."""
        keys, count = self.noise_keys(key) if isinstance(key, int) else key, 2 * self.layers
        one, other = (mean_of_layers(self._layers(half)) for half in (keys[:count], keys[count:]))
        each = map(self.contrast, (users, positive), one, other)
        return (*self.embed(users), self.contrast_weight * sum(each, one[0].new_zeros(())))


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
        sides, layers = super().tables(), []
        for _ in range(self.layers):
            users, items = map(unit_rows, sides)
            sides = self.users_graph.sum_items(items), self.items_graph.sum_users(users)
            layers.append(sides)
        (users, items), g = mean_of_layers(layers), self.own_weight
        own_users, own_items = map(upcast_half, super().tables())
        return g * own_users + (1 - g) * users, g * own_items + (1 - g) * items


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
