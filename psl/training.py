"""Training: a frozen configuration in, a trained model, its learning curve and a record out."""

from __future__ import annotations

import dataclasses
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
from psl.losses import Batch, Player, Turn, get_loss
from psl.negatives import NoisyNegatives, UniformNegatives
from psl.scoring import catalogue_loss, sampled_loss
from psl.streams import numpy_stream, stream_key, torch_stream

__all__ = ["PROTOCOLS", "SETTINGS", "Result", "RunConfig", "train"]

PROTOCOLS = ("released", "clean")
SETTINGS = ("iid", "ood", "noise")


OPTIONS = {
    "noise_ratio",
    "tau2",
    "alpha",
    "beta",
    "form",
    "tau_weight",
    "refresh",
    "layers",
    "contrast_weight",
    "as_released",
}


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run; its canonical JSON's digest is the run id.

    Attributes
    ----------
    dataset, setting, backbone, loss : str
        Names as in the paper's tables; the setting is iid, ood or noise.
    tau : float
        Temperature on the f = cos/2 scale; ignored by ``bpr``.
    lr, weight_decay : float
        Adam's step size and its (coupled) L2 coefficient.
    seed : int
        Root of every random stream: validation split, initial values, order, negatives.
    protocol : {"released", "clean"}
        ``"released"`` does as the public code: at test only the positives trained on are masked,
        and in the setting ood the best epoch is chosen *on the test set*, there being no other.
        ``"clean"`` masks validation positives too and always selects on a part of the train set.
    epochs, batch_size, dim : int
    negatives : int
        Items drawn for each positive (a loss may fix its own number).  0 draws none: SL and PSL
        against the whole catalogue, the positive too, as (4.1) is printed.
    validate_every : int
        Epochs between validations; the best NDCG@20 keeps its parameters, later ties win.
    patience : int
        Stop after this many validations without a new best; 0 never stops early.
    init_std : float
        Standard deviation of the initial embeddings.
    noise_ratio : float, optional
        Probability of a false negative, for the setting noise (the paper's p).
    tau2, alpha, beta, form, tau_weight, refresh : optional
        Of the losses that have them: BSL's temperature of the negatives; LLPAUC's two parts;
        ``"inside"`` for the other form of PSL; SL@K's temperature of the weight, on the scale
        f = cos/2, and the epochs from one quantile to the next.
    layers, contrast_weight : optional
        Of the graph backbones; the paper's values where they are not given.
    as_released : bool
        Loss and backbone as in the paper's public code where that differs from their authors'.
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
    noise_ratio: float | None = None
    tau2: float | None = None
    alpha: float | None = None
    beta: float | None = None
    form: str | None = None
    tau_weight: float | None = None
    refresh: int | None = None
    layers: int | None = None
    contrast_weight: float | None = None
    as_released: bool = False

    def __post_init__(self) -> None:
        """Refuse names that do not exist and numbers that make no sense."""
        taken = {*get_loss(self.loss).options, *get_backbone(self.backbone).options}
        for name in sorted(OPTIONS - taken - {"noise_ratio"}):
            if getattr(self, name) not in (None, False):
                raise TrainingError(f"{self.loss} on {self.backbone} has no option {name}")
        for name, known in (("protocol", PROTOCOLS), ("setting", SETTINGS)):
            if getattr(self, name) not in known:
                raise TrainingError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        if (self.setting == "noise") != (self.noise_ratio is not None):
            raise TrainingError(
                "the setting noise needs a noise ratio, and no other setting has one"
            )
        if self.noise_ratio is not None and not 0 <= self.noise_ratio <= 1:
            raise TrainingError(f"noise_ratio is a probability, got {self.noise_ratio}")
        if self.form not in (None, "inside"):
            raise TrainingError(f"form must be 'inside' or not given, got {self.form!r}")
        for name in ("tau2", "alpha", "beta", "tau_weight", "refresh", "layers", "contrast_weight"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise TrainingError(f"{name} must be positive, got {value}")
        for name in ("alpha", "beta"):
            if (getattr(self, name) or 0) > 1:
                raise TrainingError(f"{name} is a part of the items, at most 1")
        for name in ("tau", "lr", "init_std"):
            if not 0 < getattr(self, name) < float("inf"):
                raise TrainingError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("epochs", "batch_size", "dim", "validate_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("weight_decay", "patience", "negatives"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} must not be negative, got {getattr(self, name)}")

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as it stands in a record; options not taken stay out of it."""
        every = dataclasses.asdict(self)
        return {k: v for k, v in every.items() if k not in OPTIONS or v not in (None, False)}

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
    fit, valid = _selection(config, data)
    state = _State.create(config, fit, place)
    curve: list[dict[str, float]] = []
    started, before = time.perf_counter(), 0.0
    if checkpoint is not None and checkpoint.exists():
        before, curve = state.restore(checkpoint, config, data)
    for epoch in range(state.epoch + 1, config.epochs + 1):
        loss = _train_epoch(config, state, fit, epoch, progress)
        score = None
        if epoch % config.validate_every == 0 or epoch == config.epochs:
            score = evaluate(state.model.frozen(), valid, fit, cutoffs=(20,), device=place)[
                "ndcg@20"
            ]
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
        "metrics": evaluate(state.model.frozen(), data.test, masked, device=place),
        "validation_curve": curve,
        "best_epoch": state.best_epoch,
        "seconds": round(before + time.perf_counter() - started, 3),
        "peak_memory_bytes": _peak_memory(place),
        "device": _describe(place),
        **provenance,
    }
    return Result(record, state.model)


def _selection(config: RunConfig, data: Dataset) -> tuple[Interactions, Interactions]:
    """Return what is trained on and what the best epoch is chosen by."""
    if config.setting == "ood" and config.protocol == "released":
        return data.train, data.test
    return holdout(data.train, 0.1, numpy_stream(config.seed, "validation"))


def _train_epoch(
    config: RunConfig,
    state: _State,
    fit: Interactions,
    epoch: int,
    progress: Callable[[Progress], None],
) -> float:
    """Visit every training pair once for each turn; return the mean loss of the last."""
    place, loss_of = state.place, state.loss
    count = get_loss(config.loss).negatives or config.negatives
    turns: tuple[Turn, ...] = ("model",)
    if isinstance(loss_of, Player):
        loss_of.look(epoch, state.model.frozen)
        turns = loss_of.turns(epoch)
    mean = 0.0
    for number, turn in enumerate(turns):
        # A first pass has the same streams whether or not another follows.
        name = (epoch, number) if number else (epoch,)
        order = torch.randperm(len(fit), generator=torch_stream(config.seed, "order", *name))
        users, items = (torch.from_numpy(x)[order].to(place) for x in (fit.users, fit.items))
        own = torch_stream(config.seed, "backbone", *name, device=place.type)
        pairs = zip(users.split(config.batch_size), items.split(config.batch_size), strict=True)
        batches = list(pairs)
        total = torch.zeros((), dtype=torch.float64, device=place)
        loss_of.requires_grad_(turn != "model")
        for step, (user, positive) in enumerate(batches, start=1):
            key = stream_key(config.seed, "negatives", *name, step)
            batch = Batch(user, positive, state.sampler.sample(user, count, key))
            total += state.step(batch, turn, own) * len(user)
            progress(Progress(epoch, step, len(batches), None, None))
        mean = float(total) / len(fit)
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss is {mean} in epoch {epoch} ({config.loss}, tau {config.tau}, lr "
                f"{config.lr}); lower lr or raise tau. No record was written"
            )
    return mean


@dataclass
class _State:
    """The mutable part of a run; what a checkpoint holds."""

    model: Any
    loss: Any
    optimizer: torch.optim.Adam
    sampler: UniformNegatives | NoisyNegatives
    place: torch.device
    best: dict[str, Tensor]
    best_score: float = -1.0
    best_epoch: int = 0
    epoch: int = 0

    @classmethod
    def create(cls, config: RunConfig, fit: Interactions, place: torch.device) -> _State:
        spec, shape = get_loss(config.loss), get_backbone(config.backbone)
        given = {k: getattr(config, k) for k in shape.options if getattr(config, k) is not None}
        model = shape.build(
            fit,
            config.dim,
            score=spec.score,
            init_std=config.init_std,
            generator=torch_stream(config.seed, "init"),
            **given,
        ).to(place)
        adam = torch.optim.Adam(
            model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        loss: Any = spec.build(config.tau, **{k: getattr(config, k) for k in spec.options})
        loss.reduction = "none"
        sampled = config.setting == "noise" or getattr(loss, "fused", None) is None
        if config.negatives == 0 and sampled:
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
        if config.noise_ratio is None:
            return cls(model, loss, adam, UniformNegatives(fit, place), place, {})
        rng = numpy_stream(config.seed, "false negatives")
        noisy = NoisyNegatives(fit, config.noise_ratio, rng, device=place)
        return cls(model, loss, adam, noisy, place, {})

    def step(self, batch: Batch, turn: Turn, generator: torch.Generator) -> Tensor:
        """Take one step of the model, of the loss's own player, or of both."""
        loss_of = self.loss
        if isinstance(loss_of, Player) and getattr(loss_of, "fused", None) is None:
            loss_of = partial(loss_of, batch=batch)
        with torch.set_grad_enabled(turn != "player"):
            u, v, own = self.model(batch.users, batch.positive, generator)
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
            self.loss.zero_grad(set_to_none=True)
        return loss.detach()

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer, *getattr(self.loss, "optimizers", [])]

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
        tensors |= {f"loss/{k}": v for k, v in self.loss.state_dict().items()}
        for which, optimizer in enumerate(self._optimizers()):
            for number, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"adam/{which}/{number}/{k}": v for k, v in slots.items()}
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
        self.loss.load_state_dict(part("loss/"))
        for which, optimizer in enumerate(self._optimizers()):
            saved = optimizer.state_dict()
            numbers = [n for group in saved["param_groups"] for n in group["params"]]
            slots = {n: part(f"adam/{which}/{n}/") for n in numbers}
            saved["state"] = {n: s for n, s in slots.items() if s}  # none before its first turn
            optimizer.load_state_dict(saved)
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
