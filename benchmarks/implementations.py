"""What is compared: the formula as it stands, two better implementations, and the trainer's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, embedding, normalize

from psl.losses import PairwiseSoftmaxLoss
from psl.ops import sampled_loss, unit_rows

# users (B, d), items (I, d), positive (B,), negative (B, N) -> a scalar
Implementation = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
LOSS = PairwiseSoftmaxLoss(0.1, "relu")


def gather(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Gather every sampled embedding and take cosines, straight from the formula."""
    u = users.unsqueeze(1)
    p = cosine_similarity(u, embedding(positive, items).unsqueeze(1), dim=2).squeeze(1) / 2
    return LOSS(p, cosine_similarity(u, embedding(negative, items), dim=2) / 2)


def gather_unit_rows(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Gather rows of unit length: one inner product for each cosine."""
    u, v = normalize(users, dim=1) / 2, normalize(items, dim=1)
    own = (u * embedding(positive, v)).sum(dim=1)
    return LOSS(own, torch.einsum("bd,bnd->bn", u, embedding(negative, v)))


def product(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Score the whole catalogue in one matrix product and gather scores, not embeddings."""
    score = normalize(users, dim=1) / 2 @ normalize(items, dim=1).T
    return LOSS(score.gather(1, positive.unsqueeze(1)).squeeze(1), score.gather(1, negative))


def ours(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Take the operator of the trainer."""
    return sampled_loss(unit_rows(users) / 2, unit_rows(items), positive, negative, LOSS)


IMPLEMENTATIONS: dict[str, Implementation] = {
    "gather": gather,
    "gather of unit rows": gather_unit_rows,
    "product, then gather": product,
    "ours": ours,
}
