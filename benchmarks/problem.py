"""One training step of a given size, on any device, from random tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.roads import Road
from psl.interactions import Interactions
from psl.negatives import UniformNegatives

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
    """Tables, ids and an optimiser of the given size."""

    def __init__(self, size: Size, device: str = "cpu") -> None:
        self.size, self.device = size, torch.device(device)
        g = torch.Generator().manual_seed(0)

        def table(rows: int) -> Tensor:
            return torch.randn(rows, size.dim, generator=g).to(device).requires_grad_()

        def ids(*shape: int, below: int = size.items) -> Tensor:
            return torch.randint(below, shape, generator=g).to(device)

        self.users, self.items = table(size.users), table(size.items)
        self.adam = torch.optim.Adam([self.users, self.items], lr=0.01, fused=True)
        rng = np.random.default_rng(0)
        who, what = (rng.integers(0, n, POSITIVES * size.users) for n in (size.users, size.items))
        train = Interactions.from_pairs(who, what, size.users, size.items)
        self.sampler = UniformNegatives(train, self.device)
        self.user, self.positive = ids(size.batch, below=size.users), ids(size.batch)
        self.negative = ids(size.batch, size.negatives)
        self.draws = 0

    def gradient(self, road: Road) -> Tensor:
        """Take scores, loss and gradient of the batch."""
        loss = road(self.users[self.user], self.items, self.positive, self.negative)
        loss.backward()
        self.adam.zero_grad()
        return loss.detach()

    def step(self, road: Road) -> Tensor:
        """Take a whole step: draw negatives, loss and gradient, Adam on both tables."""
        self.draws += 1
        negative = self.sampler.sample(self.user, self.size.negatives, self.draws)
        loss = road(self.users[self.user], self.items, self.positive, negative)
        loss.backward()
        self.adam.step()
        self.adam.zero_grad()
        return loss.detach()
