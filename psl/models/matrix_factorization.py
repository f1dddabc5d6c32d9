"""Matrix factorisation: a table of users and one of items, whose inner product is the score."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from psl.errors import UnknownNameError
from psl.ops import half_cosine, lookup

__all__ = ["SCORES", "MatrixFactorization"]

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

    replayable = True  # given its noise keys in one, a step depends on tensors alone

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
