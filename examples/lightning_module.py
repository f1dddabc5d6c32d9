"""A Lightning module with PSL: Lightning runs the loop, the loss stays three calls."""

import logging
import warnings

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

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


class Recommender(lightning.LightningModule):
    """Matrix factorisation; negatives are drawn in the step, on the device of the batch."""

    def __init__(self, train: Interactions, test: Interactions, dim: int = 16) -> None:
        super().__init__()
        self.pairs, self.held = train, test
        self.user = torch.nn.Parameter(0.1 * torch.randn(train.num_users, dim))
        self.item = torch.nn.Parameter(0.1 * torch.randn(train.num_items, dim))
        self.loss = PairwiseSoftmaxLoss(tau=0.1, activation="relu")

    def setup(self, stage: str) -> None:
        """Make the sampler where the users of a batch will lie."""
        self.sampler = UniformNegatives(self.pairs, self.device)

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        """Return the loss of a batch of pairs."""
        users, items = batch
        # A key of its own for every step of every epoch and process, or draws would repeat.
        key = stream_key(0, "negatives", self.global_rank, self.current_epoch, number)
        negatives = self.sampler.sample(users, 50, key)
        u, v = half_cosine(self.user[users], self.item)
        return sampled_loss(u, v, items, negatives, self.loss)

    def validation_step(self, batch: list[torch.Tensor], number: int) -> None:
        """Rank the whole catalogue once."""
        u, v = half_cosine(self.user, self.item)
        found = evaluate(lambda c: (u[c], v), self.held, self.pairs, device=self.device)
        self.log("ndcg@20", found["ndcg@20"], batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=0.02)


def main() -> None:
    """Train, and print what it was worth."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    lightning.seed_everything(0, verbose=False)
    train, test = holdout(made_up(), 0.2, np.random.default_rng(1))
    pairs = TensorDataset(*(torch.from_numpy(x) for x in (train.users, train.items)))
    loader, once = DataLoader(pairs, 512, shuffle=True), DataLoader([0], 1)
    model = Recommender(train, test)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_epochs=15, enable_model_summary=False, **quiet)
    (before,) = trainer.validate(model, once, verbose=False)
    trainer.fit(model, loader)
    (after,) = trainer.validate(model, once, verbose=False)
    print(f"NDCG@20: {before['ndcg@20']:.3f} before, {after['ndcg@20']:.3f} after")


if __name__ == "__main__":
    main()
