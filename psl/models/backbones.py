"""Recommenders: a table of users and a table of items whose inner product is the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from psl.errors import UnknownNameError
from psl.interactions import Interactions
from psl.models.contrast import info_nce, orthant_noise
from psl.models.graph import Graph
from psl.ops import half_cosine, lookup
from psl.streams import stream_key

__all__ = [
    "BACKBONES",
    "SCORES",
    "BackboneSpec",
    "LightGCN",
    "MatrixFactorization",
    "SimGCL",
    "XSimGCL",
    "get_backbone",
]

SCORES = ("cosine", "inner")


class MatrixFactorization(nn.Module):
    """One free embedding for each user and item (Appendix B.4); the base of the graph models.

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

    Raises UnknownNameError for another ``score``.
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
        if score not in SCORES:
            raise UnknownNameError("score", score, SCORES)
        self.score = score

        def table(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, dim, generator=generator) * init_std)

        self.user, self.item = table(num_users), table(num_items)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings of all users (U, d) and items (I, d), before normalisation."""
        return self.user, self.item

    def scale(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Make the inner product of the two the score."""
        if self.score == "inner":
            return users, items
        return half_cosine(users, items)

    def embed(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings of ``users`` (B, d) and of all items (I, d), ready to be multiplied."""
        all_users, items = self.tables()
        return self.scale(lookup(users, all_users), items)

    def noise_keys(self, key: int) -> list[int]:
        """Return the keys of all noise that a training step draws; here there is none."""
        return []

    @property
    def replayable(self) -> bool:
        """Whether a step depends on tensors alone, given its noise keys in one."""
        return True

    def forward(
        self, users: Tensor, positive: Tensor, key: int | Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Embed a training batch; the third value is the model's own loss, to be added.

        Parameters
        ----------
        users, positive : Tensor of int64, shape (B,)
        key : int, or Tensor of int64
            Decides the model's own noise in this step, as :func:`psl.streams.stream_key` gives it;
            or what :meth:`noise_keys` makes of it, on the model's device.
        """
        return (*self.embed(users), None)

    @torch.no_grad()
    def inference_embeddings(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Return :meth:`embed` with the tables computed once, for a pass over all users."""
        users, items = (x.detach() for x in self.scale(*self.tables()))
        return lambda chosen: (users.index_select(0, chosen), items)


class LightGCN(MatrixFactorization):
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
        super().__init__(train.num_users, train.num_items, dim, **options)
        self.graph, self.layers = Graph(train), layers

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LightGCN:
        """Let the graph follow the parameters to their device and dtype."""
        super()._apply(fn, recurse)
        self.graph.to(self.user.device, self.user.dtype)
        return self

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the mean over the layers, the free embeddings included."""
        users: Tensor = self.user
        items: Tensor = self.item
        all_users, all_items = users, items
        for _ in range(self.layers):
            users, items = self.graph.propagate(users, items)
            all_users, all_items = all_users + users, all_items + items
        return all_users / (self.layers + 1), all_items / (self.layers + 1)


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
        users: Tensor = self.user
        items: Tensor = self.item
        out: list[tuple[Tensor, Tensor]] = []
        for layer in range(self.layers):
            users, items = self.graph.propagate(users, items)
            if keys is not None:
                users = users + self.noise(users, keys[2 * layer])
                items = items + self.noise(items, keys[2 * layer + 1])
            out.append((users, items))
        return out

    @staticmethod
    def _mean(layers: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        users, items = zip(*layers, strict=True)
        return sum(users) / len(layers), sum(items) / len(layers)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the mean over layers 1 to L, without noise."""
        return self._mean(self._layers(None))

    def forward(
        self, users: Tensor, positive: Tensor, key: int | Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Embed a training batch with noise, and contrast the last layer with the first."""
        layers = self._layers(key)
        first, final = layers[0], self._mean(layers)
        contrast = final[0].new_zeros(())
        for side, ids in enumerate((users, positive)):
            contrast = contrast + self.contrast(ids, final[side], first[side])
        u, v = self.scale(lookup(users, final[0]), final[1])
        return u, v, self.contrast_weight * contrast


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
        one, other = (self._mean(self._layers(half)) for half in (keys[:count], keys[count:]))
        contrast = one[0].new_zeros(())
        for side, ids in enumerate((users, positive)):
            contrast = contrast + self.contrast(ids, one[side], other[side])
        return (*self.embed(users), self.contrast_weight * contrast)


@dataclass(frozen=True)
class BackboneSpec:
    """What a trainer must know about a named backbone.

    Attributes
    ----------
    build : callable
        ``(train, dim, *, score, init_std, generator, **options) -> module``.
    options : tuple of str
        Fields of the run's configuration that ``build`` takes too; one that is not set keeps the
        module's default.
    """

    build: Callable[..., MatrixFactorization]
    options: tuple[str, ...] = ()


def _mf(train: Interactions, dim: int, **options: Any) -> MatrixFactorization:
    return MatrixFactorization(train.num_users, train.num_items, dim, **options)


BACKBONES: dict[str, BackboneSpec] = {
    "mf": BackboneSpec(_mf),
    "lightgcn": BackboneSpec(LightGCN, ("layers",)),
    "xsimgcl": BackboneSpec(XSimGCL, ("layers", "contrast_weight")),
    "simgcl": BackboneSpec(SimGCL, ("layers", "contrast_weight")),
}


def get_backbone(name: str) -> BackboneSpec:
    """Look a backbone up by name; raises UnknownNameError."""
    try:
        return BACKBONES[name]
    except KeyError:
        raise UnknownNameError("backbone", name, BACKBONES) from None
