"""Training: a frozen configuration in, a trained model, its learning curve and a record out.

In reading order: ``config`` (what decides a run), ``loop`` (epochs, validation, test), ``epoch``,
``step`` (one training step), ``state`` (what it changes), ``cuda_graph`` (on a GPU), ``adam``,
``divergence``, ``refit``, ``checkpoint``, ``export``, ``tensor_file``, ``device``, ``provenance``.
"""

from psl.training.config import PROTOCOLS, SETTINGS, RunConfig
from psl.training.epoch import Progress
from psl.training.loop import Result, train
from psl.training.refit import refit

__all__ = ["PROTOCOLS", "SETTINGS", "Progress", "Result", "RunConfig", "refit", "train"]
