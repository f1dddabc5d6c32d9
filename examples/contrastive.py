"""Pairs of texts, contrasted in both directions, as encoders of sentences are fine-tuned."""

import numpy as np
import torch
from torch import Tensor, nn

from psl import PairwiseSoftmaxLoss, half_cosine, in_batch_loss

WORDS, LENGTH = 300, 8


def made_up(pairs: int) -> tuple[list[str], list[str]]:
    """Return sentences and their translations, word by word, in another order, some words lost."""
    rng = np.random.default_rng(pairs)
    left, right = [], []
    for words in rng.integers(WORDS, size=(pairs, LENGTH)):
        kept = rng.permutation(words)[: LENGTH - 2]
        left.append(" ".join(f"en{w}" for w in words))
        right.append(" ".join(f"fr{w}" for w in kept))
    return left, right


class Encoder(nn.Module):
    """A bag of words and a layer; a transformer with pooling has the same interface."""

    def __init__(self) -> None:
        super().__init__()
        names = [f"{language}{w}" for language in ("en", "fr") for w in range(WORDS)]
        self.vocabulary = {name: number for number, name in enumerate(names)}
        self.bag, self.layer = nn.EmbeddingBag(len(names), 32), nn.Linear(32, 32)

    def forward(self, texts: list[str]) -> Tensor:
        """Return the embeddings (B, d) of texts."""
        words = [torch.tensor([self.vocabulary[w] for w in text.split()]) for text in texts]
        offsets = torch.tensor([0, *(len(w) for w in words[:-1])]).cumsum(0)
        return self.layer(self.bag(torch.cat(words), offsets))


@torch.no_grad()
def accuracy(encoder: Encoder, left: list[str], right: list[str]) -> float:
    """Return how often a sentence's own translation is the nearest of all."""
    u, v = half_cosine(encoder(left), encoder(right))
    return float(((u @ v.T).argmax(1) == torch.arange(len(u))).float().mean())


def main() -> None:
    """Train, and print how often translations of new sentences are found."""
    torch.manual_seed(0)
    (left, right), test = made_up(4000), made_up(500)
    encoder = Encoder()
    # A scale of 20 on the cosine, usual with sentence encoders, is a tau of 1 / 40 on its half.
    loss = PairwiseSoftmaxLoss(tau=1 / 40, activation="relu")
    adam = torch.optim.Adam(encoder.parameters(), lr=0.01)
    before = accuracy(encoder, *test)
    for _ in range(6):
        for batch in torch.randperm(len(left)).split(128):
            one, other = (encoder([side[k] for k in batch]) for side in (left, right))
            value = in_batch_loss(*half_cosine(one, other), loss)
            value = value + in_batch_loss(*half_cosine(other, one), loss)
            value.backward()
            adam.step()
            adam.zero_grad()
    print(f"accuracy@1: {before:.3f} before, {accuracy(encoder, *test):.3f} after")


if __name__ == "__main__":
    main()
