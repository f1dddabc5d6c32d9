"""XSimGCL and SimGCL: LightGCN with noise, and a contrast of what the noise makes different."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from psl.interactions import Interactions
from psl.models.contrast import info_nce, orthant_noise
from psl.models.lightgcn import LightGCN, mean_of_layers
from psl.ops import lookup
from psl.streams import stream_key

__all__ = ["SimGCL", "XSimGCL"]


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

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the mean over layers 1 to L, without noise."""
        return mean_of_layers(self._layers(None))

    def forward(
        self, users: Tensor, positive: Tensor, key: int | Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Embed a training batch with noise, and contrast the last layer with the first."""
        layers = self._layers(key)
        first, final = layers[0], mean_of_layers(layers)
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
        one, other = (mean_of_layers(self._layers(half)) for half in (keys[:count], keys[count:]))
        contrast = one[0].new_zeros(())
        for side, ids in enumerate((users, positive)):
            contrast = contrast + self.contrast(ids, one[side], other[side])
        return (*self.embed(users), self.contrast_weight * contrast)
