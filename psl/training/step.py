"""One training step, ``train_batch``: negatives, embeddings, loss, gradient, optimizer."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from psl.losses import Batch, UpdateTarget
from psl.models.matrix_factorization import MatrixFactorization
from psl.negatives import Sampler
from psl.ops import catalogue_loss, sampled_loss
from psl.streams import stream_key
from psl.training.adam import SparseAdam
from psl.training.config import RunConfig
from psl.training.cuda_graph import CUDAGraphStep
from psl.training.state import TrainState

__all__ = ["recorded_step", "train_batch", "training_step"]


def training_step(
    model: MatrixFactorization,
    loss: Any,
    optimizer: torch.optim.Adam,
    batch: Batch,
    target: UpdateTarget,
    key: int | Tensor,
) -> Tensor:
    """Move the model, the loss's own parameters, or both; return the mean loss of the batch.

    The optimizer is the model's; a :class:`psl.losses.StatefulLoss` has its own.  ``key`` decides
    the noise of the model, as :func:`psl.streams.stream_key` gives it.
    """
    of_scores = partial(loss, batch=batch) if getattr(loss, "needs_ids", False) else loss
    if isinstance(optimizer, SparseAdam):
        value = optimizer.train(of_scores, batch, moves=target != "loss")
        if target != "model":
            loss.optimizer_step()
        return value
    with torch.set_grad_enabled(target != "loss"):
        users, items, own_loss = model(batch.users, batch.positive, key)
    if batch.negative is None:
        value = catalogue_loss(users, items, batch.positive, of_scores)
    else:
        value = sampled_loss(users, items, batch.positive, batch.negative, of_scores)
    (value if own_loss is None else value + own_loss).backward()
    if target != "loss":
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    if target != "model":
        loss.optimizer_step()
    return value.detach()


def recorded_step(state: TrainState, batch: Batch, target: UpdateTarget, key: int) -> Tensor:
    """Do :func:`training_step`, on a GPU as a CUDA graph; the next may overwrite the value."""
    what = state.model, state.loss, state.optimizer
    if not state.use_graphs:
        return training_step(*what, batch, target, key)
    if target not in state.graph_steps:
        state.graph_steps[target] = CUDAGraphStep(
            lambda users, positive, keys, negative=None: training_step(
                *what, Batch(users, positive, negative), target, keys
            )
        )
    keys = torch.tensor(state.model.noise_keys(key), dtype=torch.int64)
    if len(keys):
        keys = keys.pin_memory()  # or the device would be waited for
    keys = keys.to(state.device, non_blocking=True)
    drawn = () if batch.negative is None else (batch.negative,)
    return state.graph_steps[target](batch.users, batch.positive, keys, *drawn)


def train_batch(
    config: RunConfig,
    state: TrainState,
    sampler: Sampler,
    users: Tensor,
    positive: Tensor,
    target: UpdateTarget,
    streams: tuple[int, ...],
) -> Tensor:
    """Draw the negatives of a batch and do :func:`recorded_step`; return its mean loss.

    ``streams`` names the step's random streams: epoch, pass if it is not the first, and step.
    """
    key = stream_key(config.seed, "negatives", *streams)
    negative = None if config.draws is None else sampler.sample(users, config.draws, key)
    own = stream_key(config.seed, "backbone", *streams)
    return recorded_step(state, Batch(users, positive, negative), target, own)
