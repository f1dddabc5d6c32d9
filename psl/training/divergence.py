"""Whether what an epoch leaves behind is a model at all."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["WORDS", "divergence"]

# What each flag of :func:`divergence` says.
WORDS = (
    "the embeddings, their squared lengths or Adam's moments are not finite",
    "all scores of a user are tied: the items have one embedding, or the users have none",
)


@torch.no_grad()
def divergence(model: nn.Module, optimizers: Iterable[torch.optim.Optimizer]) -> Tensor:
    """Return a flag (2,) for each of :data:`WORDS`, on the model's device: nobody waits for it.

    Where the square of a length overflows, the unit vector is 0 and the score with it; where a
    moment does, Adam's step is 0 from then on.  The loss is finite in both.
    """
    largest = []
    for optimizer in optimizers:
        for table in (p for group in optimizer.param_groups for p in group["params"]):
            largest.append(table.square().sum(-1).amax())
            slots = optimizer.state.get(table, {}).values()
            largest += [x.amax() for x in slots if x.shape == table.shape]
    user, item = model.get_parameter("user"), model.get_parameter("item")
    tied = (item == item[0]).all() | (user == 0).all()
    return torch.stack([~torch.stack(largest).isfinite().all(), tied])
