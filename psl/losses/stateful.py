"""The small protocol of a loss with state: one that looks at ids, or plays against the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from psl.losses.base import Reduction, check_reduction

__all__ = ["Batch", "Embed", "Player", "Turn"]

Turn = Literal["model", "player", "both"]
# users (B,) -> their embeddings (B, d) and those of all items (I, d), whose product is the score.
Embed = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Batch:
    """Who the scores belong to: ``users (B,)``, ``positive (B,)``, ``negative (B, N)``, int64."""

    users: Tensor
    positive: Tensor
    negative: Tensor


class Player(nn.Module):
    """A loss that looks at ids, or holds parameters of its own and moves them in training.

    The trainer calls ``forward(positive, negative, batch)``.  Before the first epoch it calls
    :meth:`start`, before every epoch :meth:`look`; an epoch is one pass over the data for each
    entry of :meth:`turns`; after each batch in which the player has its turn comes :meth:`play`.
    Where only the model has its turn the trainer switches the player's gradients off, and the
    other way round.  What :meth:`start` creates lies on the CPU until the loss is moved, and
    ``load_state_dict`` finds its place once :meth:`start` was called.
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction
        self.optimizers: list[torch.optim.Optimizer] = []

    def start(
        self,
        num_users: int,
        num_items: int,
        *,
        lr: float,
        weight_decay: float,
        generator: torch.Generator,
    ) -> None:
        """Create parameters and optimisers; ``lr`` and ``weight_decay`` are the model's."""

    def look(self, epoch: int, freeze: Callable[[], Embed]) -> None:
        """Look at the model before epoch 1, 2, ...; ``freeze()`` gives its embeddings."""

    def turns(self, epoch: int) -> tuple[Turn, ...]:
        """Return whose parameters move in each pass of this epoch (1, 2, ...)."""
        return ("both" if self.optimizers else "model",)

    def play(self) -> None:
        """Move the player along its gradients, which are used up, then :meth:`project`."""
        for optimizer in self.optimizers:
            optimizer.step()
        self.zero_grad(set_to_none=True)
        self.project()

    def project(self) -> None:
        """Return to the feasible set."""
