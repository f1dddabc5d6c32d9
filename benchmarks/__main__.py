"""Time and memory of one training step: ours against the plain B x N x d gather.

Both get the same embeddings and the same sampled negatives, and their values are compared first.
Times are taken in turns, so that both see the same machine; memory is what one pass adds to a
process of its own.

Run: ``python -m benchmarks [--batch 1024 --negatives 1000 --items 8360 --dim 64 --repeat 5]``.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from psl.fast import cpu_kernels
from psl.interactions import Interactions
from psl.losses import PairwiseSoftmaxLoss
from psl.negatives import UniformNegatives
from psl.scoring import sampled_loss, unit_rows

USERS = 13455  # rows of the user table in a whole step: amazon-electronic
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
LOSS = PairwiseSoftmaxLoss(0.1, "relu")


def gather(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Gather every sampled embedding and take cosines, straight from the formula."""
    u = users.unsqueeze(1)
    p = cosine_similarity(u, items[positive].unsqueeze(1), dim=2).squeeze(1) / 2
    return LOSS(p, cosine_similarity(u, items[negative], dim=2) / 2)


def ours(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Take the road of the trainer."""
    return sampled_loss(
        unit_rows(users) / 2, unit_rows(items), positive, negative, LOSS
    )


ROADS: dict[str, Loss] = {"gather": gather, "ours": ours}


class Problem:
    """Tables, ids and an optimiser of the given size."""

    def __init__(self, a: argparse.Namespace) -> None:
        self.a, g = a, torch.Generator().manual_seed(0)
        self.users = torch.randn(USERS, a.dim, generator=g, requires_grad=True)
        self.items = torch.randn(a.items, a.dim, generator=g, requires_grad=True)
        self.adam = torch.optim.Adam([self.users, self.items], lr=0.01, fused=True)
        rng = np.random.default_rng(0)
        pairs = (rng.integers(0, bound, 13 * USERS) for bound in (USERS, a.items))
        self.sampler = UniformNegatives(Interactions.from_pairs(*pairs, USERS, a.items))
        self.user = torch.randint(USERS, (a.batch,), generator=g)
        self.positive = torch.randint(a.items, (a.batch,), generator=g)
        self.negative = torch.randint(a.items, (a.batch, a.negatives), generator=g)
        self.draws = 0

    def gradient(self, road: Loss) -> Tensor:
        """Take scores, loss and gradient of the batch."""
        loss = road(self.users[self.user], self.items, self.positive, self.negative)
        loss.backward()
        self.adam.zero_grad()
        return loss.detach()

    def step(self, road: Loss) -> Tensor:
        """Take a whole step: draw negatives, loss and gradient, Adam on both tables."""
        self.draws += 1
        negative = self.sampler.sample(self.user, self.a.negatives, self.draws)
        loss = road(self.users[self.user], self.items, self.positive, negative)
        loss.backward()
        self.adam.step()
        self.adam.zero_grad()
        return loss.detach()


def seconds(work: Callable[[Loss], Tensor], road: Loss) -> float:
    """Time one call."""
    begin = time.perf_counter()
    work(road)
    return time.perf_counter() - begin


def peak(road: Loss, a: argparse.Namespace) -> int:
    """Return the bytes by which loss and gradient raise this process's resident size (Linux)."""
    problem = Problem(a)
    Problem(argparse.Namespace(**{**vars(a), "batch": 2})).gradient(road)  # loads and compiles
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = resident("VmRSS")
    problem.gradient(road)
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Read a size of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def memory(name: str) -> int:
    """Measure one road in a process of its own, with this one's arguments."""
    command = [sys.executable, "-m", "benchmarks", *sys.argv[1:], "--memory-of", name]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, value in (("batch", 1024), ("negatives", 1000), ("items", 8360), ("dim", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--memory-of", choices=ROADS, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.memory_of:
        print(peak(ROADS[a.memory_of], a))
        return
    problem = Problem(a)
    torch.testing.assert_close(
        problem.gradient(ours), problem.gradient(gather), rtol=1e-5, atol=1e-5
    )
    kernels = "with kernels" if cpu_kernels(problem.items) is not None else "without kernels"
    print(
        f"batch {a.batch}, negatives {a.negatives}, items {a.items}, dim {a.dim}, "
        f"{torch.get_num_threads()} threads, {kernels}, medians of {a.repeat} pairs"
    )
    print(f"{'':20} {'gather':>10} {'ours':>10} {'ratio':>8}")
    for title, work in (("loss and gradient", problem.gradient), ("whole step", problem.step)):
        work(ours)  # compiles
        pairs = [(seconds(work, gather), seconds(work, ours)) for _ in range(a.repeat)]
        plain, fast = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(p / f for p, f in pairs)
        print(f"{title:20} {plain * 1e3:7.1f} ms {fast * 1e3:7.1f} ms {ratio:8.1f}")
    if not Path("/proc/self/clear_refs").exists():
        return
    plain_bytes, fast_bytes = (memory(name) for name in ROADS)
    ratio = plain_bytes / max(fast_bytes, 1)
    print(
        f"{'memory of a pass':20} {plain_bytes / 2**20:6.0f} MiB {fast_bytes / 2**20:6.0f} MiB "
        f"{ratio:8.1f}"
    )


if __name__ == "__main__":
    main()
