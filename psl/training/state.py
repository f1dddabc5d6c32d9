"""What a run changes: model, loss, optimizer, the best parameters; and one step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from psl.backbones import get_backbone
from psl.errors import TrainingError
from psl.interactions import Interactions
from psl.losses import Batch, Player, Turn, get_loss
from psl.negatives import NoisyNegatives, UniformNegatives
from psl.scoring import catalogue_loss, sampled_loss
from psl.streams import numpy_stream, torch_stream
from psl.training.config import RunConfig

__all__ = ["State"]


@dataclass
class State:
    """The mutable part of a run; what a checkpoint holds."""

    model: Any
    loss: Any
    optimizer: torch.optim.Adam
    sampler: UniformNegatives | NoisyNegatives
    pairs: Interactions
    place: torch.device
    best: dict[str, Tensor]
    best_score: float = -1.0
    best_epoch: int = 0
    epoch: int = 0

    @classmethod
    def create(cls, config: RunConfig, fit: Interactions, place: torch.device) -> State:
        """Build model, loss, optimizer and sampler before the first epoch."""
        sampler, pairs = _sampler(config, fit, place)
        spec, shape = get_loss(config.loss), get_backbone(config.backbone)
        model = shape.build(
            pairs,
            config.dim,
            score=spec.score,
            init_std=config.init_std,
            generator=torch_stream(config.seed, "init"),
            **_given(config, shape.options),
        ).to(place)
        adam = torch.optim.Adam(
            model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        loss: Any = spec.build(config.tau, **_given(config, spec.options))
        loss.reduction = "none"
        sampled = config.setting == "noise" or getattr(loss, "fused", None) is None
        if (spec.negatives or config.negatives) == 0 and sampled:
            raise TrainingError(
                f"{config.loss} ({config.setting}) needs sampled negatives: negatives must be at "
                "least 1; SL and PSL without noise can take the whole catalogue"
            )
        if isinstance(loss, Player):
            loss.start(
                fit.num_users,
                fit.num_items,
                lr=config.lr,
                weight_decay=config.weight_decay,
                generator=torch_stream(config.seed, "player"),
            )
        loss.to(place)
        return cls(model, loss, adam, sampler, pairs, place, {})

    def step(self, batch: Batch, turn: Turn, key: int) -> Tensor:
        """Take one step of the model, of the loss's own player, or of both.

        ``key`` is that of the model's own noise.
        """
        loss_of = self.loss
        if isinstance(loss_of, Player) and getattr(loss_of, "fused", None) is None:
            loss_of = partial(loss_of, batch=batch)
        with torch.set_grad_enabled(turn != "player"):
            u, v, own = self.model(batch.users, batch.positive, key)
        if batch.negative.shape[1]:
            loss = sampled_loss(u, v, batch.positive, batch.negative, loss_of)
        else:
            loss = catalogue_loss(u, v, batch.positive, loss_of)
        (loss if own is None else loss + own).backward()
        if turn != "player":
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        if turn != "model":
            self.loss.play()
        return loss.detach()

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the model's, then those of the loss's own player."""
        return [self.optimizer, *getattr(self.loss, "optimizers", [])]

    def offer(self, score: float, epoch: int) -> None:
        """Keep these parameters if they are the best so far; a later tie wins."""
        if score >= self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def load_best(self) -> None:
        """Put the best parameters so far into the model."""
        self.model.load_state_dict(self.best)


def _given(config: RunConfig, options: tuple[str, ...]) -> dict[str, Any]:
    """Return the options that are set; for the others a module has its own defaults."""
    return {k: getattr(config, k) for k in options if getattr(config, k) is not None}


def _sampler(
    config: RunConfig, fit: Interactions, place: torch.device
) -> tuple[UniformNegatives | NoisyNegatives, Interactions]:
    """Return where the negatives come from, and the positives that are trained on."""
    if config.noise_ratio is None:
        return UniformNegatives(fit, place), fit
    rng = numpy_stream(config.seed, "false negatives")
    noisy = NoisyNegatives(
        fit, config.noise_ratio, rng, per_user=config.mark_per_user, device=place
    )
    return noisy, fit.difference(noisy.marked) if config.drop_marked else fit
