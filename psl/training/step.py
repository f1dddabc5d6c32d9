"""One training step: embeddings, loss, gradient, optimizer."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from psl.losses import Batch, UpdateTarget
from psl.ops import catalogue_loss, sampled_loss
from psl.training.cuda_graph import CUDAGraphStep
from psl.training.state import TrainState

__all__ = ["recorded_step", "training_step"]


def training_step(
    state: TrainState, batch: Batch, target: UpdateTarget, key: int | Tensor
) -> Tensor:
    """Move the model, the loss's own parameters, or both; return the mean loss of the batch.

    Parameters
    ----------
    state : TrainState
    batch : Batch
        The negatives of shape (B, 0) where the whole catalogue is scored.
    target : {"model", "loss", "both"}
    key : int or Tensor
        Of the model's own noise, as :func:`psl.streams.stream_key` gives it.
    """
    loss_of = state.loss
    if getattr(loss_of, "needs_ids", False):
        loss_of = partial(loss_of, batch=batch)
    with torch.set_grad_enabled(target != "loss"):
        users, items, own_loss = state.model(batch.users, batch.positive, key)
    if batch.negative.shape[1]:
        loss = sampled_loss(users, items, batch.positive, batch.negative, loss_of)
    else:
        loss = catalogue_loss(users, items, batch.positive, loss_of)
    (loss if own_loss is None else loss + own_loss).backward()
    if target != "loss":
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
    if target != "model":
        state.loss.optimizer_step()
    return loss.detach()


def recorded_step(state: TrainState, batch: Batch, target: UpdateTarget, key: int) -> Tensor:
    """Do :func:`training_step`, on a GPU as a CUDA graph; the next may overwrite the value."""
    if not state.use_graphs:
        return training_step(state, batch, target, key)
    if target not in state.graph_steps:
        state.graph_steps[target] = CUDAGraphStep(
            lambda *ids: training_step(state, Batch(*ids[:3]), target, ids[3])
        )
    keys = torch.tensor(state.model.noise_keys(key), dtype=torch.int64)
    if len(keys):
        keys = keys.pin_memory()  # or the device would be waited for
    keys = keys.to(state.place, non_blocking=True)
    return state.graph_steps[target](batch.users, batch.positive, batch.negative, keys)
