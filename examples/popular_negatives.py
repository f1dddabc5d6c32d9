"""Negatives drawn by popularity, with and without the correction for how often they are drawn."""

import math

import numpy as np
import torch

from psl import PairwiseSoftmaxLoss, PopularityNegatives, UniformNegatives, half_cosine
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.negatives import Sampler
from psl.streams import stream_key


def made_up(users: int = 600, items: int = 800, liked: int = 20) -> Interactions:
    """Return pairs of which some items are far more popular than their users' tastes explain."""
    rng = np.random.default_rng(0)
    match = rng.standard_normal((users, 6)) @ rng.standard_normal((6, items))
    appeal = 4 * rng.permutation(np.linspace(1, 0, items)) ** 3
    best = np.argsort(-(match + appeal + rng.gumbel(size=match.shape)), axis=1)[:, :liked]
    return Interactions.from_pairs(np.repeat(np.arange(users), liked), best.ravel(), users, items)


def run(
    train: Interactions, test: Interactions, sampler: Sampler, corrected: bool, count: int = 20
) -> tuple[float, float]:
    """Train, and return NDCG@20 before and after."""
    torch.manual_seed(0)
    user = torch.nn.Embedding(train.num_users, 16)
    item = torch.nn.Embedding(train.num_items, 16)
    adam = torch.optim.Adam([*user.parameters(), *item.parameters()], lr=0.02)
    loss = PairwiseSoftmaxLoss(tau=0.1, activation="relu")
    users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)

    @torch.no_grad()
    def ndcg() -> float:
        u, v = half_cosine(user.weight, item.weight)
        return evaluate(lambda chosen: (u[chosen], v), test, train)["ndcg@20"]

    before = ndcg()
    for epoch in range(16):
        for step, batch in enumerate(torch.randperm(len(users)).split(512)):
            who = users[batch]
            negatives = sampler.sample(who, count, stream_key(0, epoch, step))
            # Minus log(count q): the sum over the draws then estimates that over all items.
            log_q = sampler.log_probability(who, negatives)
            log_weight = -log_q - math.log(count) if corrected else None
            u, v = half_cosine(user.weight, item.weight)
            positive = (u[who] * v[items[batch]]).sum(-1)  # (B,)
            negative = (u[who].unsqueeze(1) * v[negatives]).sum(-1)  # (B, N)
            loss(positive, negative, log_weight=log_weight).backward()
            adam.step()
            adam.zero_grad()
    return before, ndcg()


def main() -> None:
    """Train with each sampler."""
    train, test = holdout(made_up(), 0.2, np.random.default_rng(1))
    popular = PopularityNegatives(train)
    before, after = run(train, test, popular, corrected=True)
    print(f"NDCG@20: {before:.3f} before, {after:.3f} after, popular negatives, corrected")
    print(f"without the correction: {run(train, test, popular, corrected=False)[1]:.3f}")
    uniform = run(train, test, UniformNegatives(train), corrected=False)[1]
    print(f"uniform negatives: {uniform:.3f}")


if __name__ == "__main__":
    main()
