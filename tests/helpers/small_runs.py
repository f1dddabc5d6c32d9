"""Runs small enough for a test, and what two of them must have in common."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cache
from typing import Any
from unittest.mock import patch

import torch

from companion.datasets import load
from companion.released import PaperConfig
from psl.dataset import Dataset
from psl.training import Progress, Result, train

SMALL = PaperConfig(epochs=4, negatives=16, dim=8, validate_every=1, lr=0.05)


@cache
def data() -> Dataset:
    return load("synthetic")


def run(config: PaperConfig = SMALL, **options: Any) -> Result:
    """Train; a state is written after each epoch, however long a busy disk takes for one."""
    stored = dataclasses.replace(data(), setting="ood" if config.setting == "ood" else "iid")
    with patch("psl.training.checkpoint.SHORT", math.inf):
        return train(config, stored, device="cpu", **options)


def essence(result: Result) -> dict[str, Any]:
    """Return what a run must reproduce: everything but clock, memory and date."""
    return {
        k: v
        for k, v in result.record.items()
        if k not in ("seconds", "peak_memory_bytes", "created")
    }


def same(one: Result, two: Result) -> bool:
    a, b = one.model.state_dict(), two.model.state_dict()
    return essence(one) == essence(two) and all(torch.equal(a[k], b[k]) for k in a)


class Stop(Exception):
    """Stands for Ctrl-C or a kill."""


def stop_in(epoch: int, step: int = 1) -> Callable[[Progress], None]:
    """Return a display that stops the run there; step 0 is when an epoch is over."""

    def stop(p: Progress) -> None:
        if (p.epoch, p.step) == (epoch, step):
            raise Stop

    return stop
