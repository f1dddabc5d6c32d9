"""Time one training step's loss and gradient: ours against the plain B x N x d gather.

Both get the same embeddings and the same sampled negatives, and their values are compared first.
Run: ``python -m benchmarks [--batch 1024 --negatives 1000 --items 8360 --dim 64 --repeat 5]``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from psl.losses import pairwise_softmax_loss
from psl.scoring import sampled_loss


def loss(positive: Tensor, negative: Tensor) -> Tensor:
    """PSL-relu, one value a row."""
    return pairwise_softmax_loss(positive, negative, 0.1, "relu", reduction="none")


def reference(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Gather every sampled embedding and take cosines, straight from the formula."""
    u = users.unsqueeze(1)
    p = cosine_similarity(u, items[positive].unsqueeze(1), dim=2).squeeze(1) / 2
    return loss(p, cosine_similarity(u, items[negative], dim=2) / 2).mean()


def ours(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """The path the trainer takes."""
    u = torch.nn.functional.normalize(users, dim=1) / 2
    return sampled_loss(u, torch.nn.functional.normalize(items, dim=1), positive, negative, loss)


def seconds(step: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Time value and gradient once."""
    begin = time.perf_counter()
    step(*inputs).backward()
    return time.perf_counter() - begin


def main() -> None:
    """Measure in turns, so that both see the same machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, value in (("batch", 1024), ("negatives", 1000), ("items", 8360), ("dim", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--repeat", type=int, default=5)
    a = parser.parse_args()
    g = torch.Generator().manual_seed(0)
    users = torch.randn(a.batch, a.dim, generator=g, requires_grad=True)
    items = torch.randn(a.items, a.dim, generator=g, requires_grad=True)
    positive = torch.randint(a.items, (a.batch,), generator=g)
    negative = torch.randint(a.items, (a.batch, a.negatives), generator=g)
    inputs = (users, items, positive, negative)
    torch.testing.assert_close(ours(*inputs), reference(*inputs), rtol=1e-5, atol=1e-5)
    pairs = [(seconds(reference, *inputs), seconds(ours, *inputs)) for _ in range(a.repeat)]
    plain, fast = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(p / f for p, f in pairs)
    print(
        f"batch {a.batch}, negatives {a.negatives}, items {a.items}, dim {a.dim}, "
        f"{torch.get_num_threads()} threads, {a.repeat} pairs, medians"
    )
    print(f"gather    {plain * 1e3:9.1f} ms")
    print(f"ours      {fast * 1e3:9.1f} ms")
    print(f"ratio     {ratio:9.1f}")


if __name__ == "__main__":
    main()
