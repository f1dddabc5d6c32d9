"""What all losses share: shapes, reductions, and the small protocol of a loss with state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from psl.activations import get_activation
from psl.scoring import at_least_single

__all__ = [
    "Batch",
    "Embed",
    "Player",
    "Reduction",
    "Turn",
    "as_number",
    "check_at_least",
    "check_positive",
    "check_reduction",
    "check_scores",
    "forward_is_of",
    "reduce",
    "shown",
    "softplus",
]

Reduction = Literal["mean", "sum", "none"]
Turn = Literal["model", "player", "both"]
REDUCTIONS = ("mean", "sum", "none")
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


def as_number(value: float | Tensor) -> float | Tensor:
    """Return a setting as a plain number, or as a tensor without dimensions.

    Such a tensor changes neither the shape nor the dtype of what it divides.
    """
    return value.reshape(()) if isinstance(value, Tensor) else float(value)


def check_positive(**values: float | Tensor) -> None:
    """Refuse a number that is not positive and finite, by its name, with a ValueError.

    A tensor of one number, as a temperature that is learned, is read on the host: on a GPU that
    waits for the device.  While ``torch.compile`` traces it is not read, and not refused.
    """
    for name, value in values.items():
        if isinstance(value, Tensor):
            if value.numel() != 1:
                raise ValueError(f"{name} must be one number, got shape {tuple(value.shape)}")
            if torch.compiler.is_compiling():
                continue
        number = float(value.detach()) if isinstance(value, Tensor) else value
        if not 0 < number < math.inf:  # math.isfinite cannot be traced with a symbolic number
            raise ValueError(f"{name} must be positive and finite, got {number}")


def check_at_least(least: int, **values: int) -> None:
    """Refuse a whole number below ``least``, by its name, with a ValueError."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def check_scores(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores as a loss takes them: of the right shapes, and at least float32.

    Half types become float32 *before* anything is subtracted, so that a loss of half-precision
    scores is a float32 number, off by no more than the scores themselves; float32 and float64 stay.

    Raises
    ------
    ValueError
        For other shapes than (B,) and (B, N) with N > 0, or scores that are not floating point.
    """
    if positive.ndim != 1 or negative.ndim != 2 or negative.shape[0] != positive.shape[0]:
        raise ValueError(
            "expected positive (B,) and negative (B, N), got "
            f"{tuple(positive.shape)} and {tuple(negative.shape)}"
        )
    if negative.shape[1] == 0:
        raise ValueError("each positive needs at least one item to be compared with (N = 0)")
    for scores in (positive, negative):
        if not scores.is_floating_point():
            raise ValueError(f"scores must be floating point, got {scores.dtype}")
    return at_least_single(positive), at_least_single(negative)


def check_reduction(reduction: str) -> None:
    """Refuse what is no reduction, with a ValueError."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def reduce(value: Tensor, reduction: Reduction) -> Tensor:
    """Reduce one value a row to what ``reduction`` names; a ValueError if it names nothing."""
    check_reduction(reduction)
    if reduction == "none":
        return value
    return value.mean() if reduction == "mean" else value.sum()


def shown(loss: nn.Module, *names: str) -> str:
    """Write settings of a loss as ``print`` shows them; one that is learned by its value now."""
    values = ((name, getattr(loss, name)) for name in names)
    return ", ".join(f"{n}={v.item() if isinstance(v, Tensor) else v!r}" for n, v in values)


def softplus(x: Tensor) -> Tensor:
    """Return ``log(1 + exp(x))``, in float64 to the last digit.

    torch takes ``x`` itself above 20; in float32 that is right, and what every recorded run took.
    """
    exact = x.dtype == torch.float64
    return get_activation("softplus").log(x) if exact else functional.softplus(x)


def forward_is_of(loss: nn.Module, cls: type[nn.Module]) -> bool:
    """Whether calling ``loss`` runs the ``forward`` that ``cls`` wrote, and nothing beside it.

    What is fused stands for that function alone: not for a subclass that adds a margin, a method
    replaced on the object, or a hook that wants to see the scores.
    """
    hooks = (
        loss._forward_hooks,
        loss._forward_pre_hooks,
        loss._backward_hooks,
        loss._backward_pre_hooks,
    )
    own = type(loss).forward is cls.forward and type(loss).__call__ is nn.Module.__call__
    return own and "forward" not in vars(loss) and not any(hooks)
