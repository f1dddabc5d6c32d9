"""The loop: epochs, validation, the best epoch tested once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from psl.dataset import Dataset
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.kernels.dispatch import serving
from psl.negatives import NoisyNegatives, Sampler, UniformNegatives
from psl.streams import numpy_stream
from psl.training.checkpoint import CheckpointWriter, History, restore
from psl.training.config import RunConfig
from psl.training.device import describe, find_device, forget_peak, peak_memory
from psl.training.epoch import Progress, train_epoch
from psl.training.provenance import provenance
from psl.training.state import TrainState

__all__ = ["Result", "positives_and_sampler", "run_epochs", "selection", "train"]


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
    checkpoint: Path | str | None = None,
    experiment: str = "train",
    progress: Callable[[Progress], None] = lambda _: None,
) -> Result:
    """Train by the paper's protocol (Appendix B), select on validation, test once.

    With ``checkpoint`` the state after an epoch is kept there (safetensors, written atomically), of
    every epoch or as often as takes a twentieth of the time, and a file of the same configuration
    and data is continued: a stopped run ends with the same record as one that was not stopped, also
    on a GPU with its kernels.  Where another code wrote the state the record names it
    (``continued_from``), and another device or number of threads (``continued_from_device``).

    Raises
    ------
    TrainingError
        If the data is not what the configuration names, the training diverges, or the checkpoint
        belongs to another run.
    """
    config = config.for_data(data)
    torch_device = find_device(device)
    kernels = serving(torch_device)  # what is missing is said before the hours
    forget_peak(torch_device)
    fit, valid = selection(config, data)
    state, history = run_epochs(config, data, fit, valid, torch_device, checkpoint, progress)
    state.load_best()
    masked = fit if config.protocol == "released" else data.known
    started = time.perf_counter()
    metrics = evaluate(state.model.inference_embeddings(), data.test, masked, device=torch_device)
    record = {
        "run_id": config.run_id,
        "experiment": experiment,
        "config": config.as_dict(),
        "dataset_fingerprint": data.fingerprint,
        "metrics": metrics,
        "validation_curve": history.curve,
        "best_epoch": state.best_epoch,
        "seconds": round(history.seconds + time.perf_counter() - started, 3),
        "peak_memory_bytes": peak_memory(torch_device),
        "device": describe(torch_device),
        "kernels": kernels,
        **provenance(),
        **history.continued,
    }
    return Result(record, state.model)


def run_epochs(
    config: RunConfig,
    data: Dataset,
    fit: Interactions,
    valid: Interactions | None,
    device: torch.device,
    checkpoint: Path | str | None,
    progress: Callable[[Progress], None],
) -> tuple[TrainState, History]:
    """Train from the start or a checkpoint on; without ``valid`` no epoch is the best."""
    pairs, sampler = positives_and_sampler(config, fit, device)
    state, history = TrainState.create(config, pairs, device), History()
    keep = CheckpointWriter(None if checkpoint is None else Path(checkpoint))
    started = time.perf_counter()
    if keep.path is not None and keep.path.exists():
        history = restore(keep.path, state, config, data)
    before = history.seconds
    try:
        while not _finished(config, state):
            epoch = state.epoch + 1
            loss, score = train_epoch(config, state, pairs, sampler, epoch, progress), None
            if valid is not None and (epoch % config.validate_every == 0 or epoch == config.epochs):
                encode = state.model.inference_embeddings  # its tables are not kept meanwhile
                score = evaluate(encode(), valid, fit, cutoffs=(20,), device=device)["ndcg@20"]
                state.offer(score, epoch)
                history.curve.append({"epoch": epoch, "loss": loss, "ndcg@20": score})
            progress(Progress(epoch, 0, 0, loss, score))
            state.epoch = epoch
            history.seconds = before + time.perf_counter() - started
            keep(state, config, data, history, last=_finished(config, state))
    finally:
        state.graph_steps.clear()  # and what they hold of the device
    return state, history


def _finished(config: RunConfig, state: TrainState) -> bool:
    """Say whether the last epoch is done, or the best one too long ago."""
    waited = state.epoch - (state.best_epoch or state.epoch)
    patient = not config.patience or waited < config.patience * config.validate_every
    return state.epoch >= config.epochs or not patient


def selection(config: RunConfig, data: Dataset) -> tuple[Interactions, Interactions]:
    """Return the pairs that are trained on, and those that the best epoch is chosen by."""
    if config.setting == "ood" and config.protocol == "released":
        return data.train, data.test
    return holdout(data.train, 0.1, numpy_stream(config.seed, "validation"))


def positives_and_sampler(
    config: RunConfig, fit: Interactions, device: torch.device
) -> tuple[Interactions, Sampler]:
    """Return the positives that are trained on, and where the negatives come from."""
    if config.noise_ratio is None:
        return fit, UniformNegatives(fit, device)
    rng = numpy_stream(config.seed, "false negatives")
    noisy = NoisyNegatives(
        fit, config.noise_ratio, rng, per_user=config.mark_per_user, device=device
    )
    return (fit.difference(noisy.marked) if config.drop_marked else fit), noisy
