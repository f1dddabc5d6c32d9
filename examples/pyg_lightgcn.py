"""LightGCN of PyTorch Geometric, trained with PSL instead of its own BPR."""

import numpy as np
import torch
from torch_geometric.nn import LightGCN

from psl import PairwiseSoftmaxLoss, UniformNegatives, half_cosine, sampled_loss
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.streams import stream_key


def made_up(users: int = 300, items: int = 400, liked: int = 20) -> Interactions:
    """Return users with the items that match their hidden taste best."""
    rng = np.random.default_rng(0)
    match = rng.standard_normal((users, 6)) @ rng.standard_normal((6, items))
    best = np.argsort(-match, axis=1)[:, :liked]
    return Interactions.from_pairs(np.repeat(np.arange(users), liked), best.ravel(), users, items)


def main() -> None:
    """Train, and print what it was worth."""
    torch.manual_seed(0)
    train, test = holdout(made_up(), 0.2, np.random.default_rng(1))
    users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)
    # One graph holds both kinds of nodes: items are numbered behind the users.
    edges = torch.stack([users, items + train.num_users])
    edges = torch.cat([edges, edges.flip(0)], dim=1)  # both directions
    model = LightGCN(train.num_users + train.num_items, embedding_dim=16, num_layers=2)
    sampler, loss = UniformNegatives(train), PairwiseSoftmaxLoss(tau=0.1, activation="relu")
    adam = torch.optim.Adam(model.parameters(), lr=0.02)

    def tables() -> tuple[torch.Tensor, torch.Tensor]:
        """Return users and items whose inner product is half a cosine."""
        out = model.get_embedding(edges)
        return half_cosine(out[: train.num_users], out[train.num_users :])

    @torch.no_grad()
    def ndcg() -> float:
        u, v = tables()
        return evaluate(lambda chosen: (u[chosen], v), test, train)["ndcg@20"]

    before = ndcg()
    for epoch in range(15):
        for step, batch in enumerate(torch.randperm(len(users)).split(512)):
            negatives = sampler.sample(users[batch], 50, stream_key(0, epoch, step))
            u, v = tables()
            sampled_loss(u[users[batch]], v, items[batch], negatives, loss).backward()
            adam.step()
            adam.zero_grad()
    print(f"NDCG@20: {before:.3f} before, {ndcg():.3f} after")


if __name__ == "__main__":
    main()
