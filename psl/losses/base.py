"""What all losses share: shapes, reductions, and the small protocol of a loss with state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = [
    "Batch",
    "Embed",
    "Player",
    "Reduction",
    "Turn",
    "check_positive",
    "check_scores",
    "reduce",
]

Reduction = Literal["mean", "sum", "none"]
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
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
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
        """Move the player along its gradients, then :meth:`project`."""
        for optimizer in self.optimizers:
            optimizer.step()
        self.project()

    def project(self) -> None:
        """Return to the feasible set."""


def check_positive(**values: float) -> None:
    """Refuse a number that is not positive and finite, by its name, with a ValueError."""
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be positive and finite, got {value}")


def check_scores(positive: Tensor, negative: Tensor) -> None:
    """Refuse other shapes than (B,) and (B, N) with N > 0, with a ValueError."""
    if positive.ndim != 1 or negative.ndim != 2 or negative.shape[0] != positive.shape[0]:
        raise ValueError(
            "expected positive (B,) and negative (B, N), got "
            f"{tuple(positive.shape)} and {tuple(negative.shape)}"
        )
    if negative.shape[1] == 0:
        raise ValueError("each positive needs at least one item to be compared with (N = 0)")


def reduce(value: Tensor, reduction: Reduction) -> Tensor:
    """Reduce one value a row to what ``reduction`` names."""
    if reduction == "mean":
        return value.mean()
    if reduction == "sum":
        return value.sum()
    if reduction == "none":
        return value
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
