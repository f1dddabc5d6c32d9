"""Training: a frozen configuration in, a trained model, its learning curve and a record out."""

from psl.training.config import PROTOCOLS, SETTINGS, RunConfig
from psl.training.epoch import Progress
from psl.training.loop import Result, train
from psl.training.refit import refit

__all__ = [
    "PROTOCOLS",
    "SETTINGS",
    "Progress",
    "Result",
    "RunConfig",
    "refit",
    "train",
]
