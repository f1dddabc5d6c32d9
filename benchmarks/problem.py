"""One training step of a given size, on any device, from random tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.implementations import Implementation
from psl.interactions import Interactions
from psl.negatives import UniformNegatives
from psl.ops import lookup
from psl.training.adam import table_adam
from psl.training.cuda_graph import CUDAGraphStep

POSITIVES = 13  # of a user, about as on amazon-electronic


@dataclass(frozen=True)
class Size:
    """The sizes that decide the cost of a step; the default is amazon-electronic."""

    batch: int = 1024
    negatives: int = 1000
    items: int = 8360
    dim: int = 64
    users: int = 13455

    @property
    def flops(self) -> int:
        """Floating-point operations of scores and both gradients: three products of B N d."""
        return 6 * self.batch * (self.negatives + 1) * self.dim

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Problem:
    """Tables, ids and an optimiser of the given size.

    On a GPU every implementation is recorded as a CUDA graph and replayed, as the trainer does: the
    device's work is compared, and not how fast Python asks for it.
    """

    def __init__(self, size: Size, device: str = "cpu", *, replayed: bool = True) -> None:
        self.size, self.device = size, torch.device(device)
        self.replayed = replayed and self.device.type == "cuda"
        self.recorded: dict[tuple[Implementation, bool], Callable[..., Tensor]] = {}
        g = torch.Generator().manual_seed(0)

        def table(rows: int) -> Tensor:
            return torch.randn(rows, size.dim, generator=g).to(device).requires_grad_()

        def ids(*shape: int, below: int = size.items) -> Tensor:
            return torch.randint(below, shape, generator=g).to(device)

        self.users, self.items = table(size.users), table(size.items)
        self.adam = table_adam([self.users, self.items], lr=0.01, weight_decay=0.0)
        rng = np.random.default_rng(0)
        who, what = (rng.integers(0, n, POSITIVES * size.users) for n in (size.users, size.items))
        train = Interactions.from_pairs(who, what, size.users, size.items)
        self.sampler = UniformNegatives(train, self.device)
        self.user, self.positive = ids(size.batch, below=size.users), ids(size.batch)
        self.negative = ids(size.batch, size.negatives)
        self.draws = 0

    def gradient(self, path: Implementation) -> Tensor:
        """Take scores, loss and gradient of the batch."""
        return self._work(path, moving=False)(self.negative)

    def step(self, path: Implementation) -> Tensor:
        """Take a whole step: draw negatives, loss and gradient, Adam on both tables."""
        self.draws += 1
        negative = self.sampler.sample(self.user, self.size.negatives, self.draws)
        return self._work(path, moving=True)(negative)

    def _work(self, path: Implementation, *, moving: bool) -> Callable[..., Tensor]:
        """Return what takes negatives to the loss of the batch, and its gradient on the way."""

        def work(negative: Tensor) -> Tensor:
            loss = path(lookup(self.user, self.users), self.items, self.positive, negative)
            loss.backward()
            if moving:
                self.adam.step()
            self.adam.zero_grad()
            return loss.detach()

        if not self.replayed:
            return work
        return self.recorded.setdefault((path, moving), CUDAGraphStep(work))
