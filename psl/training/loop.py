"""The loop: epochs, validation, the best epoch tested once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from psl import records
from psl.datasets import Dataset, stored_setting
from psl.errors import TrainingError
from psl.evaluation import evaluate
from psl.interactions import Interactions, holdout
from psl.losses import Batch, Player, Turn, get_loss
from psl.streams import numpy_stream, stream_key, torch_stream
from psl.training.checkpoint import restore, save
from psl.training.config import RunConfig
from psl.training.device import describe, find_device, forget_peak, peak_memory
from psl.training.state import State

__all__ = ["Progress", "Result", "train"]


@dataclass(frozen=True)
class Progress:
    """What a progress display is told after every step and epoch."""

    epoch: int
    step: int
    steps: int
    loss: float | None
    validation: float | None


@dataclass
class Result:
    """A finished run: its record, and the model with the parameters of the best epoch."""

    record: dict[str, Any]
    model: torch.nn.Module


def train(
    config: RunConfig,
    data: Dataset,
    *,
    device: str = "auto",
    checkpoint: Path | None = None,
    experiment: str = "train",
    progress: Callable[[Progress], None] = lambda _: None,
) -> Result:
    """Train by the paper's protocol (Appendix B), select on validation, test once.

    With ``checkpoint`` the state after every epoch is kept there (safetensors, written atomically)
    and a file of the same configuration and data is continued: a stopped run ends with the same
    record as one that was not stopped, on a GPU as far as the sparse products of a graph backbone
    give the same bits twice.  Where another code wrote the state the record names it
    (``continued_from``), and another device or number of threads (``continued_from_device``).

    Raises
    ------
    TrainingError
        If the data is not what the configuration names, the loss is not finite, or the checkpoint
        belongs to another run.
    """
    stored = stored_setting(config.setting)
    if (Path(data.name).name, data.setting) != (config.dataset, stored):
        raise TrainingError(
            f"the configuration names {config.dataset} ({stored}), "
            f"the data is {data.name} ({data.setting})"
        )
    place, provenance = find_device(device), records.provenance()
    forget_peak(place)
    fit, valid = _selection(config, data)
    state = State.create(config, fit, place)
    curve: list[dict[str, float]] = []
    started, before = time.perf_counter(), 0.0
    continued: dict[str, str] = {}
    if checkpoint is not None and checkpoint.exists():
        before, curve, continued = restore(checkpoint, state, config, data)
    while not _finished(config, state):
        epoch = state.epoch + 1
        loss = _train_epoch(config, state, epoch, progress)
        score = None
        if epoch % config.validate_every == 0 or epoch == config.epochs:
            score = _validate(state, valid, fit)
            state.offer(score, epoch)
            curve.append({"epoch": epoch, "loss": loss, "ndcg@20": score})
        progress(Progress(epoch, 0, 0, loss, score))
        state.epoch = epoch
        seconds = before + time.perf_counter() - started
        if checkpoint is not None:
            save(checkpoint, state, config, data, seconds, curve, continued)
    state.load_best()
    masked = fit if config.protocol == "released" else data.train
    record = {
        "run_id": config.run_id,
        "experiment": experiment,
        "config": config.as_dict(),
        "dataset_fingerprint": data.fingerprint,
        "metrics": evaluate(state.model.frozen(), data.test, masked, device=place),
        "validation_curve": curve,
        "best_epoch": state.best_epoch,
        "seconds": round(before + time.perf_counter() - started, 3),
        "peak_memory_bytes": peak_memory(place),
        "device": describe(place),
        **provenance,
        **continued,
    }
    return Result(record, state.model)


def _validate(state: State, valid: Interactions, fit: Interactions) -> float:
    """Return NDCG@20 on the validation part."""
    try:
        return evaluate(state.model.frozen(), valid, fit, cutoffs=(20,), device=state.place)[
            "ndcg@20"
        ]
    except ValueError as error:  # the last step can diverge after a finite loss
        raise TrainingError(
            f"epoch {state.epoch + 1}: {error}; lower lr or raise tau. No record was written"
        ) from error


def _finished(config: RunConfig, state: State) -> bool:
    """Say whether the last epoch is done, or the best one too long ago."""
    waited = state.epoch - (state.best_epoch or state.epoch)
    patient = not config.patience or waited < config.patience * config.validate_every
    return state.epoch >= config.epochs or not patient


def _selection(config: RunConfig, data: Dataset) -> tuple[Interactions, Interactions]:
    """Return what is trained on and what the best epoch is chosen by."""
    if config.setting == "ood" and config.protocol == "released":
        return data.train, data.test
    return holdout(data.train, 0.1, numpy_stream(config.seed, "validation"))


def _train_epoch(
    config: RunConfig,
    state: State,
    epoch: int,
    progress: Callable[[Progress], None],
) -> float:
    """Visit every training pair once for each turn; return the mean loss of the last."""
    place, loss_of, pairs = state.place, state.loss, state.pairs
    count = get_loss(config.loss).negatives or config.negatives
    turns: tuple[Turn, ...] = ("model",)
    if isinstance(loss_of, Player):
        loss_of.look(epoch, state.model.frozen)
        turns = loss_of.turns(epoch)
    mean = 0.0
    for number, turn in enumerate(turns):
        # A first pass has the same streams whether or not another follows.
        name = (epoch, number) if number else (epoch,)
        order = torch.randperm(len(pairs), generator=torch_stream(config.seed, "order", *name))
        users, items = (torch.from_numpy(x)[order].to(place) for x in (pairs.users, pairs.items))
        halves = users.split(config.batch_size), items.split(config.batch_size)
        batches = list(zip(*halves, strict=True))
        total = torch.zeros((), dtype=torch.float64, device=place)
        loss_of.requires_grad_(turn != "model")
        for step, (user, positive) in enumerate(batches, start=1):
            key = stream_key(config.seed, "negatives", *name, step)
            batch = Batch(user, positive, state.sampler.sample(user, count, key))
            own = stream_key(config.seed, "backbone", *name, step)
            total += state.step(batch, turn, own) * len(user)
            progress(Progress(epoch, step, len(batches), None, None))
        mean = float(total) / len(pairs)
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss is {mean} in epoch {epoch} ({config.loss}, tau {config.tau}, lr "
                f"{config.lr}); lower lr or raise tau. No record was written"
            )
    return mean
