"""One epoch: every pair once, in an order and with negatives of its own."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from psl.errors import TrainingError
from psl.interactions import Interactions
from psl.losses import StatefulLoss, UpdateTarget
from psl.negatives import Sampler
from psl.streams import torch_stream
from psl.training.config import RunConfig
from psl.training.divergence import WORDS, divergence
from psl.training.state import TrainState
from psl.training.step import train_batch

__all__ = ["Progress", "train_epoch"]


@dataclass(frozen=True)
class Progress:
    """What a progress display is told after every step and epoch."""

    epoch: int
    step: int
    steps: int
    loss: float | None
    validation: float | None


def train_epoch(
    config: RunConfig,
    state: TrainState,
    pairs: Interactions,
    sampler: Sampler,
    epoch: int,
    progress: Callable[[Progress], None],
) -> float:
    """Visit every training pair once for each target; return the mean loss of the last.

    Raises TrainingError if the loss is not finite, or what is left is no model any more:
    :mod:`.divergence`.
    """
    loss_of, device = state.loss, state.device
    schedule: tuple[UpdateTarget, ...] = ("model",)
    if isinstance(loss_of, StatefulLoss):
        loss_of.on_epoch_start(epoch, state.model.inference_embeddings)
        schedule = loss_of.update_schedule(epoch)
    mean = 0.0
    for number, target in enumerate(schedule):
        # A first pass has the same streams whether or not another follows.
        name = (epoch, number) if number else (epoch,)
        order = torch.randperm(len(pairs), generator=torch_stream(config.seed, "order", *name))
        users, items = (x[order].to(device) for x in (pairs.to("cpu").users, pairs.to("cpu").items))
        halves = users.split(config.batch_size), items.split(config.batch_size)
        batches = list(zip(*halves, strict=True))
        total = torch.zeros((), dtype=torch.float64, device=device)
        loss_of.requires_grad_(target != "model")
        for step, (user, positive) in enumerate(batches, start=1):
            loss = train_batch(config, state, sampler, user, positive, target, (*name, step))
            total += loss * len(user)
            progress(Progress(epoch, step, len(batches), None, None))
        flags = divergence(state.model, state.optimizers())
        summed, *broken = torch.cat([total[None], flags.double()]).tolist()  # waits once for all
        mean = summed / len(pairs)
        what = [f"the loss is {mean}"] if not math.isfinite(mean) else []
        what += [words for words, flag in zip(WORDS, broken, strict=True) if flag]
        if what:
            raise TrainingError(
                f"{what[0]} in epoch {epoch} ({config.loss}, tau {config.tau}, lr {config.lr}, "
                f"weight decay {config.weight_decay}); lower lr or weight decay, or raise tau. "
                "Nothing of this training was written"
            )
    return mean
