"""The loss in a training loop of one's own: scores in, a number out."""

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from psl import PairwiseSoftmaxLoss, UniformNegatives
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.ops import half_cosine
from psl.streams import stream_key


def made_up(users: int = 300, items: int = 400, liked: int = 20) -> Interactions:
    """Return users with the items that match their hidden taste best."""
    rng = np.random.default_rng(0)
    match = rng.standard_normal((users, 6)) @ rng.standard_normal((6, items))
    best = np.argsort(-match, axis=1)[:, :liked]
    return Interactions.from_pairs(np.repeat(np.arange(users), liked), best.ravel(), users, items)


class Model(torch.nn.Module):
    """Any model that scores users and items will do."""

    def __init__(self, users: int, items: int, dim: int = 16) -> None:
        super().__init__()
        self.user, self.item = torch.nn.Embedding(users, dim), torch.nn.Embedding(items, dim)
        for table in self.parameters():
            torch.nn.init.normal_(table, std=0.1)

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Score users (B,) with items (B, N): half a cosine, which the temperature is meant for."""
        return cosine_similarity(self.user(users).unsqueeze(1), self.item(items), dim=-1) / 2


def ndcg(model: Model, test: Interactions, train: Interactions) -> float:
    """Rank the whole catalogue for every user, without what is in the training part."""
    u, v = half_cosine(model.user.weight.detach(), model.item.weight.detach())
    return evaluate(lambda chosen: (u[chosen], v), test, train)["ndcg@20"]


def main() -> None:
    """Train, and print what it was worth."""
    torch.manual_seed(0)
    train, test = holdout(made_up(), 0.2, np.random.default_rng(1))
    model, sampler = Model(train.num_users, train.num_items), UniformNegatives(train)
    loss = PairwiseSoftmaxLoss(tau=0.1, activation="relu")
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)
    before = ndcg(model, test, train)
    for epoch in range(8):
        for step, batch in enumerate(torch.randperm(len(users)).split(512)):
            negatives = sampler.sample(users[batch], 50, stream_key(0, epoch, step))
            positive = model(users[batch], items[batch].unsqueeze(1)).squeeze(1)  # (B,)
            negative = model(users[batch], negatives)  # (B, N)
            loss(positive, negative).backward()
            adam.step()
            adam.zero_grad()
    print(f"NDCG@20: {before:.3f} before, {ndcg(model, test, train):.3f} after")


if __name__ == "__main__":
    main()
