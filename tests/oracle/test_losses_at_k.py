"""The losses at K and those with a moving average, against loops of Python floats.

SL@K with a sampled quantile, SogCLR, SogSL@K, Talos, and the LambdaLoss family: value, gradient,
and ten steps of what a loss keeps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from companion.released import SampledSLatKLoss
from loss_cases import assert_same, scores
from psl.interactions import Interactions
from psl.losses import (
    Batch,
    LambdaLoss,
    SLatKLoss,
    SogCLRLoss,
    SogSLatKLoss,
    TalosLoss,
    TrainingSetup,
    softmax_loss,
    talos_loss,
)
from psl.losses.lambdaloss import pair_weights, sampled_ranks
from psl.losses.talos import pinball
from psl.negatives import UniformNegatives

TAUS = [0.05, 0.1, 0.4]
USERS = torch.tensor([0, 1, 1, 2])
BATCH = Batch(USERS, torch.zeros(4, dtype=torch.int64), torch.zeros(4, 5, dtype=torch.int64))


def training(pairs: Interactions | None = None, **more) -> TrainingSetup:
    users, items = (3, 20) if pairs is None else (pairs.num_users, pairs.num_items)
    return TrainingSetup(users, items, 0.1, 0.0, torch.Generator().manual_seed(0), pairs, **more)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# SL@K with a sampled quantile --------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 7, 30])
def test_a_sampled_quantile_is_the_kth_best_of_positives_and_draws(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    pairs = Interactions.from_pairs(rng.integers(0, 600, 3000), rng.integers(0, 50, 3000), 600, 50)
    g = torch.Generator().manual_seed(0)
    users, items = torch.randn(600, 4, generator=g), torch.randn(50, 4, generator=g)
    drawn, sample = [], UniformNegatives.sample

    def noted(*args: Any) -> Tensor:
        drawn.append(sample(*args))
        return drawn[-1]

    monkeypatch.setattr(UniformNegatives, "sample", noted)

    def take(epoch: int) -> Tensor:
        loss = SampledSLatKLoss(0.1, refresh=3, k=k)
        loss.setup(training(pairs, negatives=9))
        loss.on_epoch_start(epoch, lambda: lambda chosen: (users[chosen], items))
        assert loss.quantile is not None
        return loss.quantile.clone()

    found, table = take(4), torch.cat(drawn)
    for u in range(600):
        own = pairs.items[pairs.indptr[u] : pairs.indptr[u + 1]].tolist()
        assert not {*own} & {*table[u].tolist()}
        ranked = sorted(float(users[u] @ items[i]) for i in [*own, *table[u].tolist()])[::-1]
        expected = ranked[k - 1] if k <= len(ranked) else -math.inf
        assert float(found[u]) == pytest.approx(expected, abs=1e-5)
    assert torch.equal(take(4), found), "the same draws after a stop"
    assert k == 30 or not torch.equal(take(7), found), "others in another epoch"


def test_without_a_kth_item_every_weight_is_1() -> None:
    p, n = scores(1)
    loss = SLatKLoss(0.1)
    loss.setup(training())
    loss.quantile.fill_(-math.inf)
    p.requires_grad_()
    value = loss(p, n, BATCH)
    assert torch.allclose(value, softmax_loss(p, n, 0.1))
    assert torch.isfinite(torch.autograd.grad(value, p)[0]).all()


def test_a_sampled_quantile_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="needs the setup's pairs and negatives"):
        SampledSLatKLoss().setup(training())
    with pytest.raises(ValueError, match="needs the setup's pairs"):
        TalosLoss().setup(training())


# SogCLR ------------------------------------------------------------------------------------------


def sogclr_loop(positive, negative, tau, average) -> float:
    total = 0.0
    for f, row, g in zip(positive, negative, average, strict=True):
        total += -f / tau + sum(math.exp(x / tau) for x in row) / len(row) / g
    return total / len(positive)


def next_average(negative, tau, gamma, before: dict[int, float]) -> list[float]:
    """Return the average of each row, with a user's rows seeing the one before the batch."""
    out = []
    for u, row in zip(USERS.tolist(), negative, strict=True):
        now = sum(math.exp(x / tau) for x in row) / len(row)
        out.append((1 - gamma) * before.get(u, now) + gamma * now)
    return out


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("gamma", [0.1, 0.9, 1.0])
def test_ten_steps_of_sogclr(tau: float, gamma: float) -> None:
    loss, kept = SogCLRLoss(tau, gamma), {}
    loss.setup(training())
    loss.double()
    assert loss.update_schedule(1) == ("both",)
    for step in range(10):
        p, n = (x.requires_grad_() for x in scores(step))
        average = next_average(n.tolist(), tau, gamma, kept)
        assert_same(loss(p, n, BATCH), p, n, lambda a, b, g=average: sogclr_loop(a, b, tau, g))
        loss(p, n, BATCH)  # to look again changes nothing
        loss.optimizer_step()
        kept |= dict(zip(USERS.tolist(), average, strict=True))  # the last row of a user stays
    assert loss.log_average is not None
    assert loss.log_average.exp().tolist() == pytest.approx([kept[u] for u in range(3)], rel=1e-12)


@pytest.mark.parametrize("tau", TAUS)
def test_with_gamma_1_sogclr_has_the_gradient_of_the_softmax_loss(tau: float) -> None:
    p, n = (x.requires_grad_() for x in scores(3))
    loss = SogCLRLoss(tau, 1.0)
    loss.setup(training())
    for batch in (BATCH, None):
        got = torch.autograd.grad(loss(p, n, batch), (p, n))
        for one, two in zip(got, torch.autograd.grad(softmax_loss(p, n, tau), (p, n)), strict=True):
            assert torch.allclose(one, two, rtol=1e-12)


def test_the_average_survives_a_small_temperature() -> None:
    """exp(f / tau) is infinite in float32 at the paper's smallest temperature."""
    p, n = (x.float().requires_grad_() for x in scores(2))
    loss = SogCLRLoss(0.005, 0.5)
    loss.setup(training())
    for _ in range(3):
        gradients = torch.autograd.grad(loss(p, n, BATCH), (p, n))
        loss.optimizer_step()
    assert all(torch.isfinite(g).all() for g in gradients)
    assert torch.isfinite(loss.log_average).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("tau", TAUS)
def test_ten_steps_of_sogsl_at_k(tau: float) -> None:
    gamma, tau_weight, kept = 0.3, 0.7, {}
    loss = SogSLatKLoss(tau, tau_weight, gamma=gamma)
    loss.setup(training())
    loss.double()
    beta = [0.3, -0.1, 0.2]
    loss.quantile.copy_(torch.tensor(beta, dtype=torch.float64))
    for step in range(10):
        p, n = (x.requires_grad_() for x in scores(step))
        average = next_average(n.tolist(), tau, gamma, kept)
        own = zip(p.tolist(), USERS.tolist(), strict=True)
        weight = [sigmoid((f - beta[u]) / tau_weight) for f, u in own]
        weight = [w * len(weight) / sum(weight) for w in weight]

        def loop(positive, negative, weight=weight, average=average) -> float:
            pull = sum(w * f for w, f in zip(weight, positive, strict=True)) / tau / len(weight)
            return sogclr_loop([0.0] * len(weight), negative, tau, average) - pull

        assert_same(loss(p, n, BATCH), p, n, loop)
        loss.optimizer_step()
        kept |= dict(zip(USERS.tolist(), average, strict=True))
    assert loss.average.log_average is not None


# Talos -------------------------------------------------------------------------------------------


def talos_loop(positive, negative, tau, beta) -> float:
    total = 0.0
    for f, row, b in zip(positive, negative, beta, strict=True):
        own, others = sigmoid(2 * f - b), [sigmoid(2 * x - b) for x in row]
        total += math.log(sum(s ** (1 / tau) for s in others)) - math.log(own) / tau
    return total / len(positive)


@pytest.mark.parametrize("tau", TAUS)
def test_talos(tau: float) -> None:
    p, n = (x.requires_grad_() for x in scores(8))
    beta = [0.3, -0.1, 0.0, 0.9]
    quantile = torch.tensor(beta, dtype=torch.float64, requires_grad=True)
    got = talos_loss(p, n, tau, quantile)
    assert_same(got, p, n, lambda a, b: talos_loop(a, b, tau, beta))
    assert quantile.grad is None, "the quantile is learned by its own loss"


@pytest.mark.parametrize("k", [1, 4, 20])
def test_the_pinball_loss_is_least_at_the_kth_largest(k: int) -> None:
    values = torch.linspace(-1, 1, 21, dtype=torch.float64) ** 3
    losses = [float(pinball(values, q, k / 21 - 1e-9).sum()) for q in values]
    best = values[losses.index(min(losses))]
    assert int((values >= best).sum()) == k


def test_ten_steps_of_the_quantiles() -> None:
    """Adam by hand, on the slopes of the authors' loss: a row stands for its user's positives."""
    pairs = Interactions.from_pairs(
        np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 3, 4, 5]), 3, 20
    )
    loss = TalosLoss(0.2, k=4, quantile_lr=0.05)
    loss.setup(training(pairs))
    loss.double()
    degree, share, q = [3, 2, 1], 4 / 20, [0.0] * 3
    moment = [[0.0, 0.0] for _ in q]
    for step in range(1, 11):
        p, n = (x.requires_grad_() for x in scores(step))
        loop = [q[u] for u in USERS.tolist()]
        slope, extra = [0.0] * 3, 0.0
        for f, row, u in zip(p.tolist(), n.tolist(), USERS.tolist(), strict=True):
            terms = [(degree[u] / 20, 2 * f), *(((20 - degree[u]) / 100, 2 * x) for x in row)]
            for weight, x in terms:
                above = x > q[u]
                slope[u] += weight * (share - above) / 4
                extra += weight * ((x - q[u]) * (1 - share) if above else (q[u] - x) * share) / 4
        value = loss(p, n, BATCH)
        assert float(value.detach()) == pytest.approx(
            talos_loop(p.tolist(), n.tolist(), 0.2, loop) + extra, rel=1e-12
        )
        value.backward()
        expected = torch.autograd.grad(
            talos_loss(p, n, 0.2, torch.tensor(loop, dtype=torch.float64)), (p, n)
        )
        assert all(torch.allclose(x.grad, g) for x, g in zip((p, n), expected, strict=True))
        loss.optimizer_step()
        for u, m in enumerate(moment):
            m[0], m[1] = 0.9 * m[0] + 0.1 * slope[u], 0.999 * m[1] + 0.001 * slope[u] ** 2
            q[u] -= 0.05 * m[0] / (1 - 0.9**step) / (math.sqrt(m[1] / (1 - 0.999**step)) + 1e-8)
    assert loss.quantiles.detach().flatten().tolist() == pytest.approx(q, abs=1e-9)


# LambdaRank, LambdaLoss, LambdaLoss@K ------------------------------------------------------------


def discount(rank: float) -> float:
    return math.log2(1 + rank)


def pair_weight(rank: float, other: float, rule: str, k: int | None) -> float:
    apart = max(abs(rank - other), 1)
    weight = {
        "swap": abs(1 / discount(rank) - 1 / discount(other)),
        "gap": 1 / discount(apart) - 1 / discount(apart + 1),
        "gap-first": 1 / discount(apart),
    }[rule]
    lower = max(rank, other)
    if k is not None and lower > k:
        weight /= 1 - 1 / (lower if rule == "gap-first" else discount(lower))
    return weight


@pytest.mark.parametrize("rule", ["swap", "gap", "gap-first"])
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("items", [None, 6, 41])
def test_lambda_losses(rule, k: int | None, items: int | None) -> None:
    """Of 6 items, of which 5 are sampled, the ranks are exact; of 41 a sampled one is 8."""
    p, n = (x.requires_grad_() for x in scores(9, b=6))
    loss = LambdaLoss(rule, k)
    if items is not None:
        loss.setup(TrainingSetup(3, items, 0.1, 0.0, torch.Generator()))
    each = 8 if items == 41 else 1
    fixed = p.tolist(), n.tolist()

    def rank(x: float, i: int, *, own: bool) -> float:
        better = each * sum(y > x for y in fixed[1][i])
        return 1 + better + (not own and fixed[0][i] > x)

    def loop(positive, negative) -> float:
        total = 0.0
        for i, (f, row) in enumerate(zip(positive, negative, strict=True)):
            for j, x in enumerate(row):
                ranks = rank(fixed[0][i], i, own=True), rank(fixed[1][i][j], i, own=False)
                share = each if rule == "gap" else 1 / len(row)
                weight = pair_weight(*ranks, rule, k) * share
                total += weight * math.log(1 + math.exp(x - f))
        return total / len(positive)

    assert_same(loss(p, n), p, n, loop)


def test_the_ranks_of_a_whole_catalogue_are_its_ranks() -> None:
    g = torch.Generator().manual_seed(0)
    every = torch.rand(3, 30, generator=g)
    first, others = sampled_ranks(every[:, 0], every[:, 1:])
    expected = (every[:, :, None] < every[:, None]).sum(-1) + 1
    assert torch.equal(torch.cat([first, others], 1).long(), expected)


def test_what_lambdarank_weighs_is_what_a_swap_moves() -> None:
    """Of one relevant item, DCG is its discount: trading places changes it by the weight."""
    ranks = torch.tensor([[1.0, 2.0, 5.0]]), torch.tensor([[4.0, 3.0, 6.0]])
    moved = [abs(1 / discount(a) - 1 / discount(b)) for a, b in ((1, 4), (2, 3), (5, 6))]
    assert pair_weights(*ranks, "swap")[0].tolist() == pytest.approx(moved, rel=1e-6)


def test_equal_scores_make_no_infinite_weight() -> None:
    p, n = torch.zeros(2, requires_grad=True), torch.zeros(2, 4, requires_grad=True)
    for rule in ("swap", "gap", "gap-first"):
        value = LambdaLoss(rule, 1)(p, n)  # type: ignore[arg-type]
        gradients = torch.autograd.grad(value, (p, n))
        assert torch.isfinite(value) and all(torch.isfinite(x).all() for x in gradients)
