"""Train a cell as its record was trained, and measure the model on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

from companion.dynamics.store import Trace
from companion.dynamics.weights import measure
from companion.popularity import popularity_groups, recall_by_group
from psl.dataset import Dataset
from psl.evaluation import evaluate
from psl.negatives import NoisyNegatives
from psl.training.config import RunConfig
from psl.training.device import describe, find_device
from psl.training.epoch import Progress, train_epoch
from psl.training.loop import positives_and_sampler, selection
from psl.training.provenance import provenance
from psl.training.state import TrainState

__all__ = ["EPOCHS", "trace"]

EPOCHS = (5, 10, 25, 50, 100, 200)


def trace(
    config: RunConfig,
    data: Dataset,
    *,
    epochs: Iterable[int] = EPOCHS,
    device: str = "auto",
    progress: Callable[[Progress], None] = lambda _: None,
) -> Trace:
    """Train to the last of ``epochs``, and measure after each of them.

    The arithmetic is that of :func:`psl.training.train`, without its validations, which change
    nothing: the losses of the epochs are those of the run's record.  Held-out pairs of the test
    part are the false negatives that training did not know of; under noise those that it marked are
    measured beside them.  A test metric is reported, and nothing is chosen by it.

    Raises
    ------
    TrainingError
        As :func:`psl.training.train`.
    """
    started = time.perf_counter()
    config, wanted = config.for_data(data), sorted(set(epochs))
    where = find_device(device)
    fit, _ = selection(config, data)
    pairs, sampler = positives_and_sampler(config, fit, where)
    false_negatives, noise = {"held out": data.test.difference(fit)}, None
    if isinstance(sampler, NoisyNegatives):
        false_negatives["marked"] = sampler.marked
        noise = sampler.marked, sampler.ratio
    groups = popularity_groups(data.train)
    masked = fit if config.protocol == "released" else data.known
    state, points = TrainState.create(config, pairs, where), []
    for epoch in range(1, wanted[-1] + 1):
        loss = train_epoch(config, state, pairs, sampler, epoch, progress)
        progress(Progress(epoch, 0, 0, loss, None))
        if epoch not in wanted:
            continue
        tables = state.model.inference_embeddings()
        metrics = evaluate(tables, data.test, masked, cutoffs=(20,), device=where)
        seen = measure(
            state.model, pairs, fit, false_negatives, groups,
            loss=config.loss, tau=config.tau, noise=noise,
        )  # fmt: skip
        with torch.no_grad():
            left, right = state.model.embed(torch.arange(data.train.num_users))
            recall = recall_by_group((left @ right.T).cpu(), masked, data.test, groups)
        numbers: dict[str, Any] = {"epoch": epoch, "loss": loss, "metrics": metrics, **seen}
        numbers["recall"] = recall.tolist()
        for name in ("recall", "row_weight"):
            numbers[name] = [None if math.isnan(x) else x for x in numbers[name]]
        points.append(numbers)
    about = provenance()
    return Trace.model_validate(
        {
            "run_id": config.run_id,
            "config": config.as_dict(),
            "dataset_fingerprint": data.fingerprint,
            "points": points,
            "seconds": round(time.perf_counter() - started, 3),
            "device": describe(where),
            **{k: about[k] for k in ("created", "code_digest", "versions")},
        }
    )
