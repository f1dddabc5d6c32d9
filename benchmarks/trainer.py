"""An epoch and an evaluation of the trainer, on data of the size of two of the paper's datasets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.measure import median_seconds
from psl.dataset import Dataset
from psl.evaluation import evaluate
from psl.interactions import Interactions
from psl.training import Progress, RunConfig, train

# Users, items, training pairs, test pairs.
SIZES = {
    "amazon-electronic": (13_455, 8_360, 182_398, 52_123),
    "gowalla": (29_858, 40_988, 810_128, 217_336),
}
USERS, ITEMS, *_ = SIZES["amazon-electronic"]
CASES = (
    ("amazon-electronic", "mf", "bpr"),
    ("amazon-electronic", "mf", "sl"),
    ("amazon-electronic", "mf", "psl-relu"),
    ("amazon-electronic", "lightgcn", "psl-relu"),
    ("amazon-electronic", "xsimgcl", "psl-relu"),
    ("gowalla", "mf", "psl-relu"),
)


def likeness(name: str = "amazon-electronic") -> Dataset:
    """Make random data with as many users, items and pairs, popular items included."""
    (num_users, num_items, *counts), rng = SIZES[name], np.random.default_rng(0)
    weight = 1 / np.arange(10, num_items + 10)

    def pairs(count: int) -> Interactions:
        users = np.concatenate(
            [np.arange(num_users), rng.integers(0, num_users, count - num_users)]
        )
        return Interactions.from_pairs(
            users, rng.choice(num_items, count, p=weight / weight.sum()), num_users, num_items
        )

    train, test = map(pairs, counts)
    return Dataset(f"of {name}'s size", "iid", train, test)


def epochs(
    device: str, told: Callable[[str], object], cases: Sequence[tuple[str, ...]] = CASES
) -> list[dict[str, Any]]:
    """Time the second epoch of each case, without validation; a fourth word is the optimizer."""
    out, place = [], torch.device(device)
    for name, backbone, loss, *optimizer in cases:
        data = likeness(name)
        config = RunConfig(
            dataset=data.name, backbone=backbone, loss=loss, epochs=2, validate_every=2,
            optimizer=optimizer[0] if optimizer else None,
        )  # fmt: skip
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
        made = {"dataset": name, "backbone": backbone, "loss": loss}
        out.append({**made, "steps": steps, "seconds": spent})
        told(f"epoch {' '.join([name, backbone, loss, *optimizer])}: {spent:.3f} s")
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
