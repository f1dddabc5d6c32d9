"""Two towers over features, with the other items of the batch as negatives."""

import numpy as np
import torch
from torch import Tensor, nn

from psl import PairwiseSoftmaxLoss, half_cosine, in_batch_loss
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.interactions import Interactions


def made_up(users: int = 600, items: int = 500) -> tuple[Interactions, Tensor, Tensor]:
    """Return pairs of which some items are far more popular, and features that hint at tastes."""
    rng = np.random.default_rng(0)
    taste, kind = rng.standard_normal((users, 6)), rng.standard_normal((items, 6))
    appeal = 3 * rng.permutation(np.linspace(1, 0, items)) ** 3
    noise = rng.gumbel(size=(users, items))
    best = np.argsort(-(taste @ kind.T + appeal + noise), axis=1)[:, :20]
    pairs = Interactions.from_pairs(np.repeat(np.arange(users), 20), best.ravel(), users, items)
    # An item's appeal is among its features, as a shop would have its price or age.
    hints = np.column_stack([kind + rng.normal(0, 0.3, kind.shape), appeal])
    seen = taste + rng.normal(0, 0.3, taste.shape)
    return pairs, torch.from_numpy(seen).float(), torch.from_numpy(hints).float()


def tower(features: int) -> nn.Module:
    """Return a tower: features in, an embedding out."""
    return nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 16))


def run(log_q_correction: bool) -> tuple[float, float]:
    """Train, and return NDCG@20 before and after."""
    torch.manual_seed(0)
    pairs, user_features, item_features = made_up()
    train, test = holdout(pairs, 0.2, np.random.default_rng(1))
    user_tower, item_tower = tower(user_features.shape[1]), tower(item_features.shape[1])
    adam = torch.optim.Adam([*user_tower.parameters(), *item_tower.parameters()], lr=0.003)
    loss = PairwiseSoftmaxLoss(tau=0.1, activation="relu")
    users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)
    # A batch holds an item as often as it is popular: its share of the pairs.
    log_q = (torch.from_numpy(train.popularity) / len(train)).float().log()

    @torch.no_grad()
    def ndcg() -> float:
        u, v = half_cosine(user_tower(user_features), item_tower(item_features))
        return evaluate(lambda chosen: (u[chosen], v), test, train)["ndcg@20"]

    before = ndcg()
    for _ in range(6):
        for batch in torch.randperm(len(users)).split(512):
            who, what = users[batch], items[batch]
            u, v = half_cosine(user_tower(user_features[who]), item_tower(item_features[what]))
            value = in_batch_loss(
                u,
                v,
                loss,
                item_ids=what,  # an item that stands in the batch twice is no negative of itself
                known=train.mask(who)[:, what],  # nor is what the user is known to like
                log_q=log_q[what] if log_q_correction else None,
            )
            value.backward()
            adam.step()
            adam.zero_grad()
    return before, ndcg()


def main() -> None:
    """Train with and without the logQ correction."""
    before, after = run(log_q_correction=True)
    print(f"NDCG@20: {before:.3f} before, {after:.3f} after")
    print(f"NDCG@20 without the logQ correction: {run(log_q_correction=False)[1]:.3f}")


if __name__ == "__main__":
    main()
