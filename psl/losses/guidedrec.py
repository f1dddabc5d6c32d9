"""GuidedRec: cross-entropy, guided by a network that learns to tell DCG."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from psl.activations import log1p_exp
from psl.losses.base import Reduction, check_positive, check_scores, reduce
from psl.losses.stateful import StatefulLoss, TrainingSetup

__all__ = ["GuidedRecLoss", "Surrogate"]


class Surrogate(nn.Module):
    """Network that estimates the DCG of ``M`` scored items of which one is relevant.

    A perceptron of the whole row is multiplied with one of the items' mutual products, after the
    public code of the SL@K paper.  In: (B, M, 2), the probability and label of each; out: (B,).
    """

    def __init__(self, items: int, generator: torch.Generator) -> None:
        super().__init__()
        wide = 2 * items

        def linear(inputs: int, outputs: int) -> nn.Linear:
            layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
            for parameter in layer.parameters():  # as torch does, from a stream of its own
                bound = inputs**-0.5
                draws = torch.rand(parameter.shape, generator=generator)
                parameter.data = (2 * draws - 1) * bound
            return layer

        self.first, self.second = linear(wide, wide), linear(wide, wide)
        self.item, self.mixed = linear(2, wide), linear(items, wide)
        self.narrow, self.out = linear(wide, 8), linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the estimates (B,)."""
        row = self.second(self.first(x.flatten(1)).tanh()).tanh()
        item = self.item(x).tanh()
        products = (item @ item.transpose(1, 2)).mean(dim=1)
        joint = row * self.mixed(products).tanh()
        return self.out(self.narrow(joint).tanh()).tanh().squeeze(1)


class GuidedRecLoss(StatefulLoss):
    r"""GuidedRec of Rashed et al. (2021), of a positive and ``N`` sampled items.

    .. math:: -N \log p_i - \sum_j \log(1 - p_j) - E_\phi(p) + (E_\phi(p) - \mathrm{DCG})^2,
              \quad p = \mathrm{sigmoid}(\cos)

    The network ``E`` is held fixed in its first term, which only the model descends, and ``p`` in
    the last, which only the network descends.  The authors take the three terms in turns; here they
    are one step.  Scores come as ``f = cos / 2``.  Before ``setup``, or where that is not told how
    many items are drawn, there is no network: cross-entropy alone.  Raises ValueError if another
    number of items is drawn than ``setup`` said.

    Parameters
    ----------
    surrogate_lr : float, optional
        Step size of the network, by Adam; the model's if not given.
    """

    settings = ("surrogate_lr",)
    surrogate: Surrogate | None

    def __init__(self, *, surrogate_lr: float | None = None, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        check_positive(surrogate_lr=1.0 if surrogate_lr is None else surrogate_lr)
        self.surrogate_lr = surrogate_lr
        self.register_module("surrogate", None)

    def setup(self, training: TrainingSetup) -> None:
        """Create the network and its optimiser."""
        if training.negatives is None:
            return
        self.surrogate = Surrogate(training.negatives + 1, training.generator)
        lr, decay = self.surrogate_lr or training.lr, training.weight_decay
        own = list(self.surrogate.parameters())
        self.optimizers = [torch.optim.Adam(own, lr=lr, weight_decay=decay)]

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of ``positive (B,)`` against ``negative (B, N)``."""
        positive, negative = check_scores(positive, negative)
        count = negative.shape[1]
        value = count * log1p_exp(-2 * positive) + log1p_exp(2 * negative).sum(dim=-1)
        if self.surrogate is None:
            return reduce(value, self.reduction)
        if self.surrogate.mixed.in_features != count + 1:
            told = self.surrogate.mixed.in_features - 1
            raise ValueError(f"setup was told of {told} items a positive, got {count}")
        chance = torch.sigmoid(2 * torch.cat([positive.unsqueeze(-1), negative], dim=-1))
        label = torch.zeros_like(chance)
        label[:, 0] = 1
        fixed = {name: p.detach() for name, p in self.surrogate.named_parameters()}
        seen = torch.stack([chance, label], dim=-1)
        guide = functional_call(self.surrogate, fixed, (seen,))
        rank = 1 + (negative > positive.unsqueeze(-1)).sum(dim=-1)
        error = self.surrogate(seen.detach()) - 1 / torch.log2(1 + rank)
        return reduce(value - guide + error**2, self.reduction)
