"""The setting noise: marked pairs among the negatives, and among the positives or not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.negatives import NoisyNegatives
from psl.streams import numpy_stream
from small_runs import SMALL, data, run


def test_noise_puts_positives_among_the_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {}
    fit, _ = holdout(data().train, 0.1, numpy_stream(SMALL.seed, "validation"))
    for ratio in (0.0, 0.5):
        seen: list[torch.Tensor] = []

        def step(state: Any, batch: Any, *_: Any, into: list[torch.Tensor] = seen) -> torch.Tensor:
            into.append(fit.mask(batch.users).gather(1, batch.negative))
            return torch.zeros(())

        monkeypatch.setattr("psl.training.step.recorded_step", step)
        run(dataclasses.replace(SMALL, setting="noise", noise_ratio=ratio, epochs=1))
        shares[ratio] = float(torch.cat(seen).double().mean())
    assert shares[0.0] == 0
    marked = NoisyNegatives(fit, 0.5, numpy_stream(SMALL.seed, "false negatives")).marked
    expected = 0.5 * float(np.mean(marked.degrees[fit.users] > 0))
    assert shares[0.5] == pytest.approx(expected, rel=0.05)


def test_marked_pairs_can_be_dropped_from_the_positives(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, _ = holdout(data().train, 0.1, numpy_stream(SMALL.seed, "validation"))
    marked = NoisyNegatives(fit, 0.5, numpy_stream(SMALL.seed, "false negatives")).marked
    noisy = dataclasses.replace(SMALL, setting="noise", noise_ratio=0.5, epochs=1)
    visited: dict[bool, Interactions] = {}
    masks: list[str] = []
    for drop in (False, True):
        seen: list[Any] = []

        def step(state: Any, batch: Any, *_: Any, into: list[Any] = seen) -> torch.Tensor:
            into.append(batch)
            return torch.zeros(())

        def spy(embed: Any, target: Interactions, masked: Interactions, **options: Any) -> Any:
            masks.append(masked.fingerprint())
            return evaluate(embed, target, masked, **options)

        monkeypatch.setattr("psl.training.step.recorded_step", step)
        monkeypatch.setattr("psl.training.loop.evaluate", spy)
        run(dataclasses.replace(noisy, drop_marked=drop))
        users, items = (
            torch.cat([getattr(b, name) for b in seen]).numpy() for name in ("users", "positive")
        )
        visited[drop] = Interactions.from_pairs(users, items, fit.num_users, fit.num_items)
        if drop:  # the only false negatives are marked ones: the others are never drawn
            batch_users = torch.cat([b.users for b in seen])
            negative = torch.cat([b.negative for b in seen])
            hits = fit.mask(batch_users).gather(1, negative)
            assert torch.equal(hits, marked.mask(batch_users).gather(1, negative))
            assert hits.any()
    assert visited[False].fingerprint() == fit.fingerprint()
    assert visited[True].union(marked).fingerprint() == fit.fingerprint()
    assert len(visited[True]) == len(fit) - len(marked)
    assert set(masks) == {fit.fingerprint()}, "what is dropped is masked all the same"


def test_a_tenth_of_the_pairs_is_marked() -> None:
    k = np.arange(16)
    fit = Interactions.from_pairs(k % 4, k // 4, 4, 9)
    assert len(NoisyNegatives(fit, 0.5, np.random.default_rng(0)).marked) == 2
