"""After selection: the same training once more, on every pair there is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from psl.dataset import Dataset
from psl.errors import TrainingError
from psl.training.config import RunConfig
from psl.training.device import find_device
from psl.training.epoch import Progress
from psl.training.loop import run_epochs

__all__ = ["all_pairs", "refit"]


def all_pairs(data: Dataset) -> Dataset:
    """Return the data with every known and test pair among those that are trained on.

    Raises TrainingError if a user then has every item: there is no negative to draw.
    """
    train = data.known.union(data.test)
    user = int(train.degrees.argmax())
    if train.degrees[user] >= train.num_items:
        raise TrainingError(
            f"user {user} has every item in train or test: there is no negative to draw, so the "
            "data cannot be fitted whole"
        )
    return replace(data, train=train)


def refit(
    config: RunConfig,
    data: Dataset,
    epochs: int,
    *,
    device: str = "auto",
    checkpoint: Path | str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Any:
    """Train anew on all pairs, train, middle and test; nothing is left to measure it on.

    What a run is selected and tested for, a recommender in use need not do without: the pairs held
    out are a good part of what is known of each user, and the latest of it under a temporal split.

    Parameters
    ----------
    config : RunConfig
        As chosen on validation data.  Its ``epochs``, ``protocol`` and what it says of validation
        play no part.
    data : Dataset
    epochs : int
        Epochs to train, at least 1: the best of the run that chose, ``record["best_epoch"]``.  An
        epoch is longer here, as there are more pairs.
    device, checkpoint, progress
        As :func:`psl.training.train`; the checkpoint is another than that of the run that chose.

    Returns
    -------
    Module
        The backbone after the last epoch.

    Raises
    ------
    TrainingError
        If the data is not what the configuration names, a user has every item, ``epochs`` is below
        1, the training diverges, or the checkpoint belongs to something else.
    """
    config = replace(config.for_data(data), epochs=epochs)
    data, torch_device = all_pairs(data), find_device(device)
    return run_epochs(config, data, data.train, None, torch_device, checkpoint, progress)[0].model
