"""The configuration of a run: everything that decides it, frozen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from psl import records
from psl.backbones import get_backbone
from psl.errors import TrainingError
from psl.losses import get_loss

__all__ = ["OPTIONS", "PROTOCOLS", "SETTINGS", "RunConfig"]

PROTOCOLS = ("released", "clean")
SETTINGS = ("iid", "ood", "noise")


# Fields that stand in a record only where they are taken: records of before keep their run id.
OPTIONS = {
    "noise_ratio",
    "drop_marked",
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
    drop_marked : bool
        For the setting noise: the pairs marked as false negatives are no positives any more.
        They are still never drawn as uniform negatives, and masked like the positives.
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
    drop_marked: bool = False
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
        for name in sorted(OPTIONS - taken - {"noise_ratio", "drop_marked"}):
            if getattr(self, name) not in (None, False):
                raise TrainingError(f"{self.loss} on {self.backbone} has no option {name}")
        for name, known in (("protocol", PROTOCOLS), ("setting", SETTINGS)):
            if getattr(self, name) not in known:
                raise TrainingError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        if (self.setting == "noise") != (self.noise_ratio is not None):
            raise TrainingError(
                "the setting noise needs a noise ratio, and no other setting has one"
            )
        if self.drop_marked and self.setting != "noise":
            raise TrainingError("drop_marked is for the setting noise: no other marks a pair")
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
