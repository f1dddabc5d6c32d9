"""One training of a search: validated, never tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from companion.released import PaperConfig
from psl.dataset import Dataset
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.streams import numpy_stream
from psl.training import Progress
from psl.training.loop import run_epochs

__all__ = ["parts", "validate"]


def parts(config: PaperConfig, data: Dataset) -> tuple[Interactions, Interactions]:
    """Return the pairs that a trial is trained on, and the tenth that it is measured on."""
    return holdout(data.train, 0.1, numpy_stream(config.seed, "validation"))


def validate(
    config: PaperConfig,
    data: Dataset,
    device: torch.device,
    progress: Callable[[Progress], None] = lambda _: None,
) -> tuple[float, int]:
    """Train as :func:`psl.training.train` under the clean protocol; stop before the test.

    Parameters
    ----------
    config : PaperConfig
    data : Dataset
    device : torch.device
    progress : callable
        Told of steps and epochs; an exception of it ends the training.

    Returns
    -------
    score : float
        The best NDCG@20 on the validation part, a tenth of the training pairs.
    epoch : int
        Which had it.

    Raises
    ------
    TrainingError
        As :func:`psl.training.train`.
    """
    config = config.for_data(data)
    fit, valid = parts(config, data)
    untested = replace(data, test=valid, middle=None)  # what is not there cannot be looked at
    _, history = run_epochs(config, untested, fit, valid, device, None, progress)
    best = max(history.curve, key=lambda point: (point["ndcg@20"], point["epoch"]))
    return best["ndcg@20"], int(best["epoch"])
