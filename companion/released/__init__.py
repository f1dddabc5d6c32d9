"""Losses and backbone as in the paper's public code, where that differs from their authors'."""

from companion.released.backbones import RELEASED_BACKBONES, ReleasedXSimGCL
from companion.released.config import PaperConfig, has_released
from companion.released.losses import (
    RELEASED_LOSSES,
    ReleasedAdvInfoNCELoss,
    ReleasedBSLLoss,
    ReleasedLLPAUCLoss,
    SampledSLatKLoss,
    SampledSogSLatKLoss,
)

__all__ = [
    "RELEASED_BACKBONES",
    "RELEASED_LOSSES",
    "PaperConfig",
    "ReleasedAdvInfoNCELoss",
    "ReleasedBSLLoss",
    "ReleasedLLPAUCLoss",
    "ReleasedXSimGCL",
    "SampledSLatKLoss",
    "SampledSogSLatKLoss",
    "has_released",
]
