"""An epoch and an evaluation of the trainer, on data of amazon-electronic's size."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.measure import median_seconds
from psl.datasets import Dataset
from psl.evaluation import evaluate
from psl.interactions import Interactions
from psl.training import Progress, RunConfig, train

USERS, ITEMS, TRAIN, TEST = 13_455, 8_360, 182_398, 52_123
CASES = (
    ("mf", "bpr"),
    ("mf", "sl"),
    ("mf", "psl-relu"),
    ("lightgcn", "psl-relu"),
    ("xsimgcl", "psl-relu"),
)


def likeness() -> Dataset:
    """Make random data with as many users, items and pairs, popular items included."""
    rng = np.random.default_rng(0)
    weight = 1 / np.arange(10, ITEMS + 10)

    def pairs(count: int) -> Interactions:
        users = np.concatenate([np.arange(USERS), rng.integers(0, USERS, count - USERS)])
        return Interactions.from_pairs(
            users, rng.choice(ITEMS, count, p=weight / weight.sum()), USERS, ITEMS
        )

    return Dataset("of amazon-electronic's size", "iid", pairs(TRAIN), pairs(TEST))


def epochs(device: str, told: Callable[[str], object]) -> list[dict[str, Any]]:
    """Time the second epoch of each case, without validation."""
    data, out, place = likeness(), [], torch.device(device)
    for backbone, loss in CASES:
        config = RunConfig(
            dataset=data.name, backbone=backbone, loss=loss, epochs=2, validate_every=2
        )
        ends: list[float] = []
        steps = 0

        def watch(p: Progress, ends: list[float] = ends) -> None:
            nonlocal steps
            steps = max(steps, p.steps)
            if p.step in (0, p.steps):
                if place.type == "cuda":
                    torch.cuda.synchronize(place)
                ends.append(time.perf_counter())

        train(config, data, device=device, progress=watch)
        # Ends of: last step of epoch 1, epoch 1, last step of epoch 2, ...
        spent = ends[2] - ends[1]
        out.append({"backbone": backbone, "loss": loss, "steps": steps, "seconds": spent})
        told(f"epoch {backbone} {loss}: {spent:.2f} s")
    return out


def evaluation(device: str, repeat: int) -> dict[str, Any]:
    """Time one ranking of the whole catalogue for every user."""
    data, place = likeness(), torch.device(device)
    g = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 64, generator=g).to(place) for n in (USERS, ITEMS))
    spent = median_seconds(
        lambda: evaluate(
            lambda chosen: (users[chosen], items), data.test, data.train, device=place
        ),
        place,
        repeat,
    )
    return {"users": USERS, "items": ITEMS, "seconds": spent, "users_per_second": USERS / spent}
