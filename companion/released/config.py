"""The configuration of a run that may take loss and backbone from the paper's public code."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from companion.released.backbones import RELEASED_BACKBONES
from companion.released.losses import RELEASED_LOSSES, SAMPLED_QUANTILES
from psl.errors import TrainingError
from psl.losses import LOSSES, LossSpec
from psl.models.backbones import BACKBONES, BackboneSpec
from psl.training import RunConfig

__all__ = ["PaperConfig", "has_released"]


def has_released(loss: str, backbone: str) -> bool:
    """Say whether the paper's public code has the loss or the backbone in a form of its own."""
    return loss in RELEASED_LOSSES or backbone in RELEASED_BACKBONES


@dataclass(frozen=True)
class PaperConfig(RunConfig):
    """A :class:`psl.training.RunConfig` with two fields more.

    Two of its fields follow the paper's public code, each alone.  ``protocol="released"`` is about
    the measurement: which pairs are masked, and what the best epoch is chosen on.  ``as_released``
    is about what is trained: the formula of a loss or backbone.  A cell of the grid takes both.

    Attributes
    ----------
    as_released : bool
        Loss and backbone as in the paper's public code where that differs from their authors'.
    sampled_quantile : bool
        Quantiles of ``SL@K`` among positives and sampled items, as in its public code.
    """

    as_released: bool = dataclasses.field(default=False, metadata={"kind": bool, "option": True})
    sampled_quantile: bool = dataclasses.field(
        default=False, metadata={"kind": bool, "option": True}
    )

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a TrainingError."""
        super().__post_init__()
        if self.as_released and not has_released(self.loss, self.backbone):
            raise TrainingError(f"{self.loss} on {self.backbone} has no option as_released")
        if self.sampled_quantile and self.loss not in SAMPLED_QUANTILES:
            raise TrainingError(f"{self.loss} on {self.backbone} has no option sampled_quantile")

    @property
    def loss_spec(self) -> LossSpec:
        """The loss that is trained."""
        released = RELEASED_LOSSES.get(self.loss) if self.as_released else None
        if self.sampled_quantile:
            released = SAMPLED_QUANTILES.get(self.loss)
        return released or super().loss_spec

    @property
    def backbone_spec(self) -> BackboneSpec:
        """The backbone that is trained."""
        released = RELEASED_BACKBONES.get(self.backbone) if self.as_released else None
        return released or super().backbone_spec

    def ignored(self) -> set[str]:
        """Return the fields that change nothing of this run, whatever their value."""
        loss, backbone = self.loss_spec, self.backbone_spec
        specs: list[LossSpec | BackboneSpec] = [*LOSSES.values(), *BACKBONES.values()]
        out = {name for spec in specs for name in spec.options}
        out -= {*loss.options, *backbone.options}
        out |= {"drop_marked", "mark_per_user"} if self.noise_ratio is None else set()
        out |= {"sampled_quantile"} if self.loss not in SAMPLED_QUANTILES else set()
        out |= {"negatives"} if loss.negatives is not None else set()
        out |= {"init_std"} if loss.init_std is not None else set()
        return out if loss.tau else out | {"tau"}
