"""Training: a frozen configuration in, a trained model, its learning curve and a record out."""

from psl.training.config import PROTOCOLS, SETTINGS, RunConfig
from psl.training.loop import Progress, Result, train

__all__ = ["PROTOCOLS", "SETTINGS", "Progress", "Result", "RunConfig", "train"]
