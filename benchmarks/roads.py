"""The two roads that are compared: the formula as it stands, and the trainer's."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import cosine_similarity

from psl.losses import PairwiseSoftmaxLoss
from psl.scoring import sampled_loss, unit_rows

# users (B, d), items (I, d), positive (B,), negative (B, N) -> a scalar
Road = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
LOSS = PairwiseSoftmaxLoss(0.1, "relu")


def gather(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Gather every sampled embedding and take cosines, straight from the formula."""
    u = users.unsqueeze(1)
    p = cosine_similarity(u, items[positive].unsqueeze(1), dim=2).squeeze(1) / 2
    return LOSS(p, cosine_similarity(u, items[negative], dim=2) / 2)


def ours(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Take the road of the trainer."""
    return sampled_loss(unit_rows(users) / 2, unit_rows(items), positive, negative, LOSS)


ROADS: dict[str, Road] = {"gather": gather, "ours": ours}
