"""BSL, AdvInfoNCE, LLPAUC and SL@K against loops of Python floats, written from their own papers.

Value, gradient, and ten steps of the players' own variables; and what is said of the public code's
versions of them is proved here.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from companion.released import (
    ReleasedAdvInfoNCELoss,
    ReleasedBSLLoss,
    ReleasedLLPAUCLoss,
)
from loss_cases import assert_same, scores
from psl.losses import (
    AdvInfoNCELoss,
    Batch,
    BSLLoss,
    LLPAUCLoss,
    SLatKLoss,
    TrainingSetup,
    adv_infonce_loss,
    bsl_loss,
    slatk_loss,
    softmax_loss,
)

TAUS = [0.05, 0.1, 0.4]


# BSL ------------------------------------------------------------------------------------------


def bsl_loop(positive, negative, tau, tau2, group) -> float:
    total = 0.0
    for i, row in enumerate(negative):
        mates = [positive[k] for k in range(len(positive)) if group[k] == group[i]]
        pull = math.log(sum(math.exp(f / tau) for f in mates) / len(mates))
        push = math.log(sum(math.exp(f / tau2) for f in row) ** (tau2 / tau))
        total += push - pull
    return total / len(positive)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("tau2", TAUS)
@pytest.mark.parametrize("group", [[0, 1, 2, 3], [5, 5, 2, 5], [1, 1, 1, 1]])
def test_bsl(tau: float, tau2: float, group: list[int]) -> None:
    p, n = (x.requires_grad_() for x in scores())
    got = bsl_loss(p, n, tau, tau2, torch.tensor(group))
    assert_same(got, p, n, lambda a, b: bsl_loop(a, b, tau, tau2, group))


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("tau2", TAUS)
def test_released_bsl_is_the_softmax_loss_times_a_factor(tau: float, tau2: float) -> None:
    """With one positive a row, tau is a mere factor, in value and in gradient."""
    p, n = (x.requires_grad_() for x in scores(1))
    batch = Batch(torch.tensor([3, 3, 3, 3]), torch.zeros(4).long(), torch.zeros(4, 5).long())
    released = torch.autograd.grad(ReleasedBSLLoss(tau, tau2)(p, n, batch), (p, n))
    softmax = torch.autograd.grad(tau2 / tau * softmax_loss(p, n, tau2), (p, n))
    for one, two in zip(released, softmax, strict=True):
        assert torch.allclose(one, two, rtol=1e-12, atol=1e-14)
    # As its authors define it, rows of a user share their positives: it is another loss.
    bilateral = torch.autograd.grad(BSLLoss(tau, tau2)(p, n, batch), (p, n))
    assert not torch.allclose(bilateral[0], softmax[0], rtol=1e-3)
    assert torch.allclose(bilateral[0].sum(), softmax[0].sum(), rtol=1e-12)


def test_bsl_survives_a_small_temperature() -> None:
    """A naive power of a sum overflows at the follow-up's smallest temperature; this must not."""
    p, n = (x.float().requires_grad_() for x in scores(2))
    bsl_loss(p, n, 0.005, 0.1, torch.tensor([0, 0, 1, 1])).backward()
    assert torch.isfinite(p.grad).all() and torch.isfinite(n.grad).all()  # type: ignore[union-attr]


# AdvInfoNCE -----------------------------------------------------------------------------------


def adv_loop(positive, negative, tau, hardness, factor=64.0) -> float:
    total = 0.0
    for f, row, logits in zip(positive, negative, hardness, strict=True):
        norm = sum(math.exp(g) for g in logits)
        weight = [len(row) * math.exp(g) / norm for g in logits]
        own = math.exp(f / tau)
        rest = sum(w * math.exp(x / tau) for w, x in zip(weight, row, strict=True))
        total -= math.log(own / (own + factor * rest))
    return total / len(positive)


@pytest.mark.parametrize("tau", TAUS)
def test_adv_infonce(tau: float) -> None:
    p, n = (x.requires_grad_() for x in scores(3))
    g = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = g.tolist()
    got = adv_infonce_loss(p, n, tau, g)
    assert_same(got, p, n, lambda a, b: adv_loop(a, b, tau, logits))
    flat = [[0.0] * 5] * 4
    plain = float(adv_infonce_loss(p, n, tau).detach())
    assert plain == pytest.approx(adv_loop(p.tolist(), n.tolist(), tau, flat), rel=1e-12)


@pytest.mark.parametrize("released", [False, True])
def test_ten_steps_of_the_adversary(released: bool) -> None:
    """The tables after ten steps equal Adam's by hand on gradients by finite differences of g."""
    p, n = scores(4)
    batch = Batch(
        torch.tensor([0, 1, 1, 2]),
        torch.zeros(4, dtype=torch.int64),
        torch.randint(6, (4, 5), generator=torch.Generator().manual_seed(1)),
    )
    cls = ReleasedAdvInfoNCELoss if released else AdvInfoNCELoss
    loss = cls(0.1, adversary_lr=0.01, dim=3).double()
    loss.setup(TrainingSetup(3, 6, 9.0, 0.1, torch.Generator().manual_seed(2)))
    loss.double()
    tables = [loss.user.detach().clone(), loss.item.detach().clone()]
    moments = [[torch.zeros_like(t), torch.zeros_like(t)] for t in tables]

    def value(user: Tensor, item: Tensor) -> float:
        if released:
            user = user / user.norm(dim=1, keepdim=True)
            item = item / item.norm(dim=1, keepdim=True)
        logits = [
            [float(user[batch.users[b]] @ item[j]) for j in batch.negative[b].tolist()]
            for b in range(4)
        ]
        return adv_loop(p.tolist(), n.tolist(), 0.1, logits)

    before = value(*tables)
    for step in range(1, 11):
        loss(p, n, batch).backward()
        loss.optimizer_step()
        loss.zero_grad(set_to_none=True)
        grads = []
        for table in tables:
            grad = torch.zeros_like(table)
            for k in range(table.numel()):
                ends = []
                for side in (1e-6, -1e-6):
                    table.view(-1)[k] += side
                    ends.append(value(*tables))
                    table.view(-1)[k] -= side
                grad.view(-1)[k] = (ends[0] - ends[1]) / 2e-6
            grads.append(grad)
        for table, grad, (m, v) in zip(tables, grads, moments, strict=True):
            g = -grad + (0.1 * table if released else 0)  # it climbs; released: decay acts on it
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.999).add_(0.001 * g * g)
            table -= 0.01 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    assert torch.allclose(loss.user.detach(), tables[0], rtol=1e-4, atol=1e-6)
    assert torch.allclose(loss.item.detach(), tables[1], rtol=1e-4, atol=1e-6)
    assert released or value(*tables) > before


def test_the_adversarys_schedule() -> None:
    """As its authors: an extra pass at 3, 8, 13, ..., at most ``limit``; released: every fifth."""
    mine, released = AdvInfoNCELoss(0.1, limit=3), ReleasedAdvInfoNCELoss(0.1)
    assert [e for e in range(1, 40) if mine.update_schedule(e) == ("loss", "model")] == [3, 8, 13]
    assert all(mine.update_schedule(e) in (("model",), ("loss", "model")) for e in range(1, 40))
    for interval in range(1, 9):
        for limit in (0, 1, 3):
            loss = AdvInfoNCELoss(0.1, limit=limit, interval=interval)
            passes = [e for e in range(1, 90) if "loss" in loss.update_schedule(e)]
            assert len(passes) == limit, "all of them, whatever the interval"
            assert all(b - a == interval for a, b in itertools.pairwise(passes))
            assert not passes or passes[0] <= min(3, interval)
    frozen = [e for e in range(1, 201) if released.update_schedule(e) == ("loss",)]
    assert frozen == list(range(5, 201, 5)), "160 of 200 epochs train the model"


# LLPAUC ---------------------------------------------------------------------------------------


def llpauc_loop(positive, negative, alpha, beta, v, released=False) -> float:
    """Return the objective of Shi et al., with the cosine's sigmoid, from plain floats."""

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    def hinge(x: float) -> float:
        return math.log(1 + math.exp(5 * x)) / 5

    gain = cost = 0.0
    for f in positive:
        p = sigmoid(2 * f)
        l_plus = (p - v["a"]) ** 2 - 2 * (1 + v["gamma"]) * p
        gain += hinge(-l_plus - v["s_pos"]) / len(positive)
    every = [f for row in negative for f in row]
    for f in every:
        n = sigmoid(2 * f)
        l_minus = (n - v["b"]) ** 2 + 2 * (1 + v["gamma"]) * n
        cost += hinge(l_minus - v["s_neg"]) / len(every)
    value = -v["s_pos"] - gain / alpha + v["s_neg"] + cost / beta - v["gamma"] ** 2
    if released:
        value += v["theta_a"] * (v["a"] + v["gamma"])
        value += v["theta_b"] * (v["gamma"] + 1 - v["b"])
    return value


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(("alpha", "beta"), [(0.7, 0.01), (0.5, 0.1), (1.0, 1.0)])
def test_llpauc(released: bool, alpha: float, beta: float) -> None:
    p, n = (x.requires_grad_() for x in scores(5))
    loss = (ReleasedLLPAUCLoss if released else LLPAUCLoss)(alpha, beta).double()
    values = {"a": 0.8, "b": 0.3, "s_pos": 0.6, "s_neg": 0.9, "gamma": -0.2}
    values |= {"theta_a": 0.4, "theta_b": -0.3} if released else {}
    with torch.no_grad():
        for name, x in values.items():
            getattr(loss, name).fill_(x)
    got = loss(p, n)
    assert_same(got, p, n, lambda a, b: llpauc_loop(a, b, alpha, beta, values, released))
    for name in values:
        ends = [
            llpauc_loop(
                p.tolist(), n.tolist(), alpha, beta, {**values, name: values[name] + s}, released
            )
            for s in (1e-6, -1e-6)
        ]
        slope = (ends[0] - ends[1]) / 2e-6
        assert float(getattr(loss, name).grad) == pytest.approx(slope, rel=1e-5, abs=1e-7)
    loss.reduction = "none"
    assert float(loss(p, n).mean().detach()) == pytest.approx(float(got.detach()), rel=1e-12)
    loss.reduction = "sum"  # the scalars are counted in every row
    assert float(loss(p, n).detach()) == pytest.approx(len(p) * float(got.detach()), rel=1e-12)


@pytest.mark.parametrize("released", [False, True])
def test_ten_steps_of_the_scalars(released: bool) -> None:
    """Adam by hand: gamma and s+ climb, the rest descends; released: everything, and decays."""
    p, n = scores(6, b=8, n=20)
    lr = 0.05
    mine = LLPAUCLoss(0.5, 0.1, scalar_lr=lr)
    loss = (ReleasedLLPAUCLoss(0.5, 0.1) if released else mine).double()
    decay = 0.3
    loss.setup(TrainingSetup(1, 1, lr, decay, torch.Generator()))
    v = {"a": 1.0, "b": 0.0, "s_pos": 0.5, "s_neg": 0.5, "gamma": 0.0}
    v |= {"theta_a": 0.5, "theta_b": 0.5} if released else {}
    moment = {name: [0.0, 0.0] for name in v}
    rate = dict.fromkeys(v, lr) | {"s_pos": 2 * lr, "s_neg": 2 * lr, "gamma": 2 * lr}
    for step in range(1, 11):
        loss(p, n).backward()
        loss.optimizer_step()
        loss.zero_grad(set_to_none=True)
        grads = {}
        for name in v:
            ends = [
                llpauc_loop(p.tolist(), n.tolist(), 0.5, 0.1, {**v, name: v[name] + s}, released)
                for s in (1e-6, -1e-6)
            ]
            grads[name] = (ends[0] - ends[1]) / 2e-6
        for name, grad in grads.items():
            g = -grad if not released and name in ("gamma", "s_pos") else grad
            g += decay * v[name] if released else 0
            m = moment[name]
            m[0], m[1] = 0.9 * m[0] + 0.1 * g, 0.999 * m[1] + 0.001 * g * g
            v[name] -= (
                rate[name] * (m[0] / (1 - 0.9**step)) / (math.sqrt(m[1] / (1 - 0.999**step)) + 1e-8)
            )
        v["a"], v["b"] = min(max(v["a"], 0), 1), min(max(v["b"], 0), 1)
        v["s_pos"], v["s_neg"] = min(max(v["s_pos"], -1), 4), min(max(v["s_neg"], 0), 5)
        v["gamma"] = min(max(v["gamma"], max(-v["a"], v["b"] - 1)), 1)
    for name, x in v.items():
        assert float(getattr(loss, name).detach()) == pytest.approx(x, abs=1e-4), name


def test_the_scalars_step_as_in_the_public_code() -> None:
    """[a, b, gamma, s+, s-] of the public code on random embeddings of its own, lr 0.1.

    Other random embeddings move the fifth row by a few hundredths, and the first by nothing.
    """
    printed = {1: [0.90, 0.10, -0.20, 0.30, 0.70], 5: [0.52, 0.41, -0.52, -0.46, 1.31]}
    g = torch.Generator().manual_seed(0)
    u, v = (torch.nn.functional.normalize(torch.randn(256, 64, generator=g)) for _ in range(2))
    scores = u @ v.T / 2
    loss = ReleasedLLPAUCLoss(0.7, 0.1)
    loss.setup(TrainingSetup(1, 1, 0.1, 0.0, g))
    for step in range(1, 6):
        loss(scores.diagonal(), scores[:, :100]).backward()
        loss.optimizer_step()
        if step in printed:
            found = [x.item() for x in (loss.a, loss.b, loss.gamma, loss.s_pos, loss.s_neg)]
            assert found == pytest.approx(printed[step], abs=0.001 if step == 1 else 0.04)


def test_descending_the_maximisers_empties_the_game() -> None:
    """As released, the scalars run to constants and the multipliers without bound.

    Four hundred steps at the tuned step size on fixed scores: (a, b, gamma, s+) = (1, 0, -+1, -1),
    and the multipliers fall in proportion to the steps.  Played on its own side, each stays inside.
    """
    p, n = scores(7, b=64, n=50)
    ends = {}
    for released in (True, False):
        loss = (ReleasedLLPAUCLoss if released else LLPAUCLoss)(0.5, 0.01).double()
        loss.setup(TrainingSetup(1, 1, 0.1, 0.0, torch.Generator()))
        for _ in range(400):
            loss(p, n).backward()
            loss.optimizer_step()
            loss.zero_grad(set_to_none=True)
        ends[released] = {k: float(x) for k, x in loss.state_dict().items()}
    jammed = ends[True]
    assert jammed["s_pos"] == -1 and abs(jammed["gamma"]) == 1
    assert min(jammed["theta_a"], jammed["theta_b"]) < -10
    assert -1 < ends[False]["s_pos"] < 4
    assert abs(ends[False]["gamma"]) < 1


# SL@K -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("tau_weight", [0.2, 1.25])
def test_slatk(tau: float, tau_weight: float) -> None:
    p, n = (x.requires_grad_() for x in scores(8))
    beta = [0.3, -0.1, 0.0, 0.45]

    def loop(positive, negative) -> float:
        total = 0.0
        for f, row, b in zip(positive, negative, beta, strict=True):
            weight = 1 / (1 + math.exp(-(f - b) / tau_weight))
            total += weight * math.log(sum(math.exp((x - f) / tau) for x in row))
        return total / len(positive)

    assert_same(
        slatk_loss(p, n, tau, torch.tensor(beta, dtype=torch.float64), tau_weight), p, n, loop
    )


def test_the_quantile_is_the_score_of_the_kth_best_item() -> None:
    g = torch.Generator().manual_seed(0)
    users, items = torch.randn(600, 4, generator=g), torch.randn(50, 4, generator=g)
    loss = SLatKLoss(0.1, refresh=3, k=7)
    loss.setup(TrainingSetup(600, 50, 0.1, 0.0, g))
    looked = []

    def encode():
        looked.append(1)
        return lambda chosen: (users[chosen], items)

    for epoch in (1, 2, 3):
        loss.on_epoch_start(epoch, encode)
    assert not looked and not loss.quantile.any()
    loss.on_epoch_start(4, encode)
    better = (users @ items.T >= loss.quantile[:, None]).sum(1)
    assert looked and (better == 7).all()
