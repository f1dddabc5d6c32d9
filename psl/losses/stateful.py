"""Losses that need the ids of a batch, and losses with a state of their own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from psl.interactions import Interactions
from psl.losses.base import Loss, Reduction

__all__ = ["Batch", "EmbedFn", "StatefulLoss", "TrainingSetup", "UpdateTarget"]

UpdateTarget = Literal["model", "loss", "both"]
# users (B,) -> their embeddings (B, d) and those of all items (I, d), whose product is the score.
EmbedFn = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Batch:
    """Who the scores belong to: ``users (B,)``, ``positive (B,)``, ``negative (B, N)``, int64.

    ``negative`` is ``None`` where every item of the catalogue is compared with the positive.
    The trainer passes it to a loss that says ``needs_ids = True``, any ``nn.Module``, as
    ``forward(positive, negative, batch)``.
    """

    users: Tensor
    positive: Tensor
    negative: Tensor | None


@dataclass(frozen=True)
class TrainingSetup:
    """What a loss is told before the first epoch.

    Attributes
    ----------
    num_users : int
    num_items : int
    lr : float
        The model's step size.
    weight_decay : float
        Its coupled L2 coefficient.
    generator : torch.Generator
        Stream of the loss's own initial values.
    pairs : Interactions, optional
        What is trained on.
    negatives : int, optional
        Items drawn for each positive.
    """

    num_users: int
    num_items: int
    lr: float
    weight_decay: float
    generator: torch.Generator
    pairs: Interactions | None = None
    negatives: int | None = None


class StatefulLoss(Loss):
    """A loss with a state: parameters that it optimises in training, or what it saw of the model.

    Before the first epoch the trainer calls :meth:`setup`, before every epoch
    :meth:`on_epoch_start`.  An epoch is one pass over the data for each entry of
    :meth:`update_schedule`; after each batch in which the loss is updated comes
    :meth:`optimizer_step`.  Where only the model is updated the trainer switches the gradients of
    the loss's parameters off, and the other way round.  What :meth:`setup` creates lies on the CPU
    until the loss is moved; ``load_state_dict`` needs :meth:`setup` to have been called, and so
    does a call with a batch where something was to be created: else it raises RuntimeError.
    """

    num_items: int | None = None

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.optimizers: list[torch.optim.Optimizer] = []

    def setup(self, training: TrainingSetup) -> None:
        """Note the size of the catalogue; a subclass creates its parameters and optimisers."""
        self.num_items = training.num_items

    def created(self, name: str) -> Tensor:
        """Return what :meth:`setup` creates under a name; RuntimeError if it was not called."""
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise RuntimeError(f"{type(self).__name__} has no {name} yet: call setup(...) first")
        return value

    def on_epoch_start(self, epoch: int, encode: Callable[[], EmbedFn]) -> None:
        """Look at the model before epoch 1, 2, ...; ``encode()`` gives its embeddings."""

    def update_schedule(self, epoch: int) -> tuple[UpdateTarget, ...]:
        """Return whose parameters are updated in each pass of this epoch (1, 2, ...)."""
        return ("both" if self.optimizers else "model",)

    def optimizer_step(self) -> None:
        """Update the loss's parameters, and zero their gradients."""
        for optimizer in self.optimizers:
            optimizer.step()
        self.zero_grad(set_to_none=True)
