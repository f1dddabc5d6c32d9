"""Training: a frozen configuration in, a trained model, its learning curve and a record out."""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from psl import records
from psl.backbones import get_backbone
from psl.datasets import Dataset
from psl.errors import TrainingError
from psl.evaluation import evaluate
from psl.interactions import Interactions, holdout
from psl.losses import get_loss
from psl.negatives import UniformNegatives
from psl.scoring import sampled_loss
from psl.streams import numpy_stream, torch_stream

__all__ = ["PROTOCOLS", "Result", "RunConfig", "train"]

PROTOCOLS = ("released", "clean")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run; its canonical JSON's digest is the run id.

    Attributes
    ----------
    dataset, setting, backbone, loss : str
        Names as in the paper's tables.
    tau : float
        Temperature on the f = cos/2 scale; ignored by ``bpr``.
    lr, weight_decay : float
        Adam's step size and its (coupled) L2 coefficient.
    seed : int
        Root of every random stream: validation split, initial values, order, negatives.
    protocol : {"released", "clean"}
        What is masked at test: training positives only, as the public code does, or validation
        positives too.
    epochs, batch_size, dim : int
    negatives : int
        Items drawn for each positive (a loss may fix its own number).
    validate_every : int
        Epochs between validations; the best NDCG@20 keeps its parameters, later ties win.
    patience : int
        Stop after this many validations without a new best; 0 never stops early.
    init_std : float
        Standard deviation of the initial embeddings.
    """

    dataset: str = "synthetic"
    setting: str = "iid"
    backbone: str = "mf"
    loss: str = "psl-relu"
    tau: float = 0.1
    lr: float = 0.01
    weight_decay: float = 0.0
    seed: int = 0
    protocol: str = "released"
    epochs: int = 200
    batch_size: int = 1024
    negatives: int = 1000
    dim: int = 64
    validate_every: int = 5
    patience: int = 0
    init_std: float = 0.1

    def __post_init__(self) -> None:
        """Refuse names that do not exist and numbers that make no sense."""
        get_loss(self.loss)
        get_backbone(self.backbone)
        if self.protocol not in PROTOCOLS:
            raise TrainingError(f"protocol must be one of {PROTOCOLS}, got {self.protocol!r}")
        for name in ("tau", "lr", "init_std"):
            if not 0 < getattr(self, name) < float("inf"):
                raise TrainingError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("epochs", "batch_size", "negatives", "dim", "validate_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.weight_decay < 0 or self.patience < 0:
            raise TrainingError("weight_decay and patience must not be negative")

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as it stands in a record."""
        return dataclasses.asdict(self)

    @property
    def run_id(self) -> str:
        """Digest of the configuration."""
        return records.run_id(self.as_dict())


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
    """A finished run: its record and the embeddings of the best epoch."""

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
    record as one that was not stopped.

    Raises
    ------
    TrainingError
        If the loss is not finite, or the checkpoint belongs to another run.
    """
    place, provenance = _device(device), records.provenance()
    fit, valid = holdout(data.train, 0.1, numpy_stream(config.seed, "validation"))
    state = _State.create(config, fit, place)
    curve: list[dict[str, float]] = []
    started, before = time.perf_counter(), 0.0
    if checkpoint is not None and checkpoint.exists():
        before, curve = state.restore(checkpoint, config, data)
    for epoch in range(state.epoch + 1, config.epochs + 1):
        loss = _train_epoch(config, state, fit, epoch, progress)
        score = None
        if epoch % config.validate_every == 0 or epoch == config.epochs:
            score = evaluate(state.model.embed, valid, fit, cutoffs=(20,), device=place)["ndcg@20"]
            state.offer(score, epoch)
            curve.append({"epoch": epoch, "loss": loss, "ndcg@20": score})
        progress(Progress(epoch, 0, 0, loss, score))
        state.epoch = epoch
        seconds = before + time.perf_counter() - started
        if checkpoint is not None:
            state.save(checkpoint, config, data, seconds, curve)
        if config.patience and epoch - state.best_epoch >= config.patience * config.validate_every:
            break
    state.load_best()
    masked = fit if config.protocol == "released" else data.train
    record = {
        "run_id": config.run_id,
        "experiment": experiment,
        "config": config.as_dict(),
        "dataset_fingerprint": data.fingerprint,
        "metrics": evaluate(state.model.embed, data.test, masked, device=place),
        "validation_curve": curve,
        "best_epoch": state.best_epoch,
        "seconds": round(before + time.perf_counter() - started, 3),
        "peak_memory_bytes": _peak_memory(place),
        "device": _describe(place),
        **provenance,
    }
    return Result(record, state.model)


def _train_epoch(
    config: RunConfig,
    state: _State,
    fit: Interactions,
    epoch: int,
    progress: Callable[[Progress], None],
) -> float:
    """Visit every training pair once; return the mean loss."""
    spec, place = get_loss(config.loss), state.place
    loss_of = spec.build(config.tau)
    loss_of.reduction = "none"  # type: ignore[assignment]
    count = spec.negatives or config.negatives
    order = torch.randperm(len(fit), generator=torch_stream(config.seed, "order", epoch))
    users, items = (torch.from_numpy(x)[order].to(place) for x in (fit.users, fit.items))
    draws = torch_stream(config.seed, "negatives", epoch, device=place.type)
    batches = list(zip(users.split(config.batch_size), items.split(config.batch_size), strict=True))
    total = torch.zeros((), dtype=torch.float64, device=place)
    for step, (user, positive) in enumerate(batches, start=1):
        negative = state.sampler.sample(user, count, draws)
        u, v = state.model.embed(user)
        loss = sampled_loss(u, v, positive, negative, loss_of)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        total += loss.detach() * len(user)
        progress(Progress(epoch, step, len(batches), None, None))
    mean = float(total) / len(fit)
    if mean != mean or mean in (float("inf"), float("-inf")):
        raise TrainingError(
            f"the loss is {mean} in epoch {epoch} ({config.loss}, tau {config.tau}, lr "
            f"{config.lr}); lower lr or raise tau. No record was written"
        )
    return mean


@dataclass
class _State:
    """The mutable part of a run; what a checkpoint holds."""

    model: Any
    optimizer: torch.optim.Adam
    sampler: UniformNegatives
    place: torch.device
    best: dict[str, Tensor]
    best_score: float = -1.0
    best_epoch: int = 0
    epoch: int = 0

    @classmethod
    def create(cls, config: RunConfig, fit: Interactions, place: torch.device) -> _State:
        model = get_backbone(config.backbone)(
            fit.num_users,
            fit.num_items,
            config.dim,
            score=get_loss(config.loss).score,
            init_std=config.init_std,
            generator=torch_stream(config.seed, "init"),
        ).to(place)
        adam = torch.optim.Adam(
            model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        return cls(model, adam, UniformNegatives(fit), place, {})

    def offer(self, score: float, epoch: int) -> None:
        """Keep these parameters if they are the best so far; a later tie wins."""
        if score >= self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def load_best(self) -> None:
        self.model.load_state_dict(self.best)

    def save(
        self,
        path: Path,
        config: RunConfig,
        data: Dataset,
        seconds: float,
        curve: list[dict[str, float]],
    ) -> None:
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        for number, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam/{number}/{k}": v for k, v in slots.items()}
        about = {
            "config": config.as_dict(),
            "fingerprint": data.fingerprint,
            "epoch": self.epoch,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "seconds": seconds,
            "curve": curve,
        }
        content = {k: v.cpu().contiguous() for k, v in tensors.items()}
        records.replace_file(path, save(content, metadata={"run": json.dumps(about)}))

    def restore(
        self, path: Path, config: RunConfig, data: Dataset
    ) -> tuple[float, list[dict[str, float]]]:
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()["run"])
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{path}: not a readable checkpoint; delete it ({error})"
            ) from error
        if about["config"] != config.as_dict() or about["fingerprint"] != data.fingerprint:
            raise TrainingError(f"{path}: the checkpoint is of another configuration or dataset")

        def part(prefix: str) -> dict[str, Tensor]:
            return {
                k.removeprefix(prefix): v.to(self.place)
                for k, v in tensors.items()
                if k.startswith(prefix)
            }

        self.model.load_state_dict(part("model/"))
        self.best = part("best/")
        saved = self.optimizer.state_dict()
        saved["state"] = {n: part(f"adam/{n}/") for n in range(len(list(self.model.parameters())))}
        self.optimizer.load_state_dict(saved)
        self.epoch, self.best_epoch = about["epoch"], about["best_epoch"]
        self.best_score = about["best_score"]
        return about["seconds"], about["curve"]


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(name)
    except RuntimeError as error:
        raise TrainingError(f"unknown device {name!r}; use auto, cpu or cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError("no CUDA device is available; use --device cpu")
    return place


def _describe(place: torch.device) -> str:
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return f"cpu, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def _peak_memory(place: torch.device) -> int:
    if place.type == "cuda":
        return torch.cuda.max_memory_allocated(place)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
