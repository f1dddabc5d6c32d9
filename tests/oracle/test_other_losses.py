"""CCL, gBCE, SimCE, DrRL and GuidedRec against loops of Python floats, and their limits."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from loss_cases import assert_same, scores
from psl.dro import dual_value, temperature_for_radius
from psl.losses import (
    Batch,
    DrRLLoss,
    GBCELoss,
    GuidedRecLoss,
    TrainingSetup,
    ccl_loss,
    drrl_loss,
    gbce_loss,
    simce_loss,
    softmax_loss,
)


def training(items: int = 50, **more) -> TrainingSetup:
    return TrainingSetup(3, items, 0.05, 0.0, torch.Generator().manual_seed(0), **more)


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.4])
def test_ccl(margin: float) -> None:
    p, n = (x.requires_grad_() for x in scores(0))

    def loop(positive, negative) -> float:
        total = 0.0
        for f, row in zip(positive, negative, strict=True):
            above = sum(max(2 * x - margin, 0) for x in row) / len(row)
            total += max(1 - 2 * f, 0) + 30 * above
        return total / len(positive)

    assert_same(ccl_loss(p, n, margin, 30.0), p, n, loop)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
@pytest.mark.parametrize("items", [None, 6, 50])
def test_gbce(calibration: float, items: int | None) -> None:
    p, n = (x.requires_grad_() for x in scores(1))
    alpha = 1.0 if items is None else 5 / (items - 1)
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)  # as its authors write it

    def loop(positive, negative) -> float:
        total = 0.0
        for f, row in zip(positive, negative, strict=True):
            total -= beta * math.log(1 / (1 + math.exp(-f)))
            total -= sum(math.log(1 - 1 / (1 + math.exp(-x))) for x in row)
        return total / len(positive) / 6

    assert_same(gbce_loss(p, n, items, calibration), p, n, loop)
    loss = GBCELoss(calibration)
    if items is not None:
        loss.setup(training(items))
    assert torch.equal(loss(p, n), gbce_loss(p, n, items, calibration))


def test_calibrated_to_1_gbce_learns_the_probability_that_full_sampling_would() -> None:
    """One item's score, observed with probability 0.2: its sigmoid at the optimum.

    Of 51 items 5 are sampled, so that an item is a negative in a tenth of the steps.
    """
    seen, drawn = 0.2, 0.1 * (1 - 0.2)

    def best(calibration: float) -> float:
        beta = 1 - calibration * (1 - 0.1)

        def cost(score: float) -> float:
            one = torch.tensor([score], dtype=torch.float64)
            pull = gbce_loss(one, torch.full((1, 5), -60.0).double(), 51, calibration)
            push = gbce_loss(one + 60, one[:, None], 51, calibration)
            return seen * float(pull) * 6 + drawn * float(push) * 2

        found = minimize_scalar(cost, bounds=(-20, 20), method="bounded", options={"xatol": 1e-9})
        assert beta > 0
        return 1 / (1 + math.exp(-found.x))

    assert best(1.0) == pytest.approx(seen, abs=1e-5)
    assert best(0.0) == pytest.approx(seen / (seen + drawn), abs=1e-5), "overconfident"


@pytest.mark.parametrize("margin", [0.0, 0.3, 5.0])
def test_simce(margin: float) -> None:
    p, n = (x.requires_grad_() for x in scores(2))

    def loop(positive, negative) -> float:
        rows = zip(positive, negative, strict=True)
        return sum(max(margin + max(row) - f, 0) for f, row in rows) / len(positive)

    assert_same(simce_loss(p, n, margin), p, n, loop)


def test_the_hardest_negative_is_the_softmax_loss_at_temperature_0() -> None:
    p, n = (x.requires_grad_() for x in scores(3))
    hinge = torch.autograd.grad(simce_loss(p, n, 5.0), (p, n))
    cold = torch.autograd.grad(1e-5 * softmax_loss(p, n, 1e-5), (p, n))
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(hinge, cold, strict=True))


# DrRL ---------------------------------------------------------------------------------------------


def drrl_loop(positive, negative, margin, order, weight, smoothing=0.0) -> float:
    p, total = order / (order - 1), 0.0
    for f, row, m in zip(positive, negative, margin, strict=True):
        terms = [(smoothing + weight * max(2 * x - m, 0)) ** p for x in row]
        total += max(1 - 2 * f, 0) + m + (sum(terms) / len(row)) ** (1 / p)
    return total / len(positive)


@pytest.mark.parametrize("order", [1.2, 2.0, 150.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_drrl(order: float, smoothing: float) -> None:
    p, n = (x.requires_grad_() for x in scores(4))
    margin = [-0.3, 0.1, -0.9, 0.0]
    got = drrl_loss(p, n, torch.tensor(margin), order, 1.5, smoothing)
    margin = torch.tensor(margin).double().tolist()
    assert_same(got, p, n, lambda a, b: drrl_loop(a, b, margin, order, 1.5, smoothing))


def test_no_negative_above_the_margin_is_no_nan() -> None:
    p, n = (x.requires_grad_() for x in scores(4))
    for order in (1.001, 2.0, math.inf):
        gradients = torch.autograd.grad(drrl_loss(p, n, 2.0, order), (p, n))
        assert torch.isfinite(gradients[0]).all() and not gradients[1].any()


@pytest.mark.parametrize("margin", [-0.5, 0.2])
def test_drrl_of_infinite_order_is_ccl(margin: float) -> None:
    p, n = (x.requires_grad_() for x in scores(5))
    values = drrl_loss(p, n, margin, math.inf, 30.0) - margin, ccl_loss(p, n, margin, 30.0)
    assert torch.allclose(*values, rtol=1e-12)
    gradients = (torch.autograd.grad(v, (p, n)) for v in values)
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(*gradients, strict=True))


def worst_mean(cosines: Tensor, order: float, eta: float) -> tuple[float, float]:
    """Return the least value over the margin of what DrRL adds for negatives, and that margin."""
    weight = math.exp(eta * (order - 1) / order)
    one = torch.full((1,), 0.5, dtype=torch.float64)  # a positive that costs nothing

    def value(m: float) -> float:
        return float(drrl_loss(one, cosines[None] / 2, m, order, weight))

    low = float(cosines.min()) - 40 * order / (order - 1)
    found = minimize_scalar(value, bounds=(low, float(cosines.max())), method="bounded",
                            options={"xatol": 1e-10, "maxiter": 2000})  # fmt: skip
    return float(found.fun), float(found.x)


@pytest.mark.parametrize("eta", [0.05, 0.4])
def test_drrl_of_order_1_is_the_softmax_loss(eta: float) -> None:
    """Towards order 1 the worst mean is that of the KL ball, whose gradient is SL's."""
    _, n = scores(6, b=1, n=12)
    cosines = 2 * n[0]
    tau = temperature_for_radius(cosines, eta)
    exact = float(dual_value(cosines, eta, tau))
    errors = [abs(worst_mean(cosines, order, eta)[0] - exact) for order in (1.1, 1.01, 1.001)]
    assert errors[0] > 5 * errors[1] > 25 * errors[2] and errors[2] < 1e-3
    # The gradient at the best margin is the softmax of the cosines at that temperature.
    _, margin = worst_mean(cosines, 1.001, eta)
    n = n.detach().requires_grad_()
    weight = math.exp(eta * 0.001 / 1.001)
    value = drrl_loss(torch.full((1,), 0.5).double(), n, margin, 1.001, weight)
    (slope,) = torch.autograd.grad(value, n)
    assert torch.allclose(slope[0] / 2, torch.softmax(cosines / tau, 0), atol=2e-3)


@pytest.mark.parametrize("order", [1.5, 2.0, 4.0])
def test_the_worst_mean_is_that_over_the_renyi_ball(order: float) -> None:
    """The dual against the best distribution that a convex program finds."""
    cvxpy = pytest.importorskip("cvxpy")
    _, n = scores(7, b=1, n=8)
    cosines, eta = 2 * n[0], 0.3
    ratio = cvxpy.Variable(8, nonneg=True)  # q / p, of a uniform p
    ball = (
        cvxpy.sum(ratio) == 8,
        cvxpy.pnorm(ratio, order) / 8 ** (1 / order) <= math.exp(eta * (order - 1) / order),
    )
    program = cvxpy.Problem(cvxpy.Maximize(ratio @ cosines.numpy() / 8), [*ball])
    assert program.solve(solver="CLARABEL") == pytest.approx(
        worst_mean(cosines, order, eta)[0], abs=1e-5
    )


def test_ten_steps_of_the_margins() -> None:
    """Plain descent on the sum over the batch, in which a user may be twice."""
    users = [0, 1, 1, 2]
    batch = Batch(torch.tensor(users), torch.zeros(4).long(), torch.zeros(4, 5).long())
    loss = DrRLLoss(0.1, 1.7, 1.4, margin_lr=0.02)
    loss.setup(training())
    loss.double()
    margins = [0.1] * 3
    margins = torch.tensor(margins).double().tolist()
    for step in range(10):
        p, n = (x.requires_grad_() for x in scores(step))

        def value(m: list[float], p=p, n=n) -> float:
            return drrl_loop(p.tolist(), n.tolist(), [m[u] for u in users], 1.7, 1.4)

        got = loss(p, n, batch)
        assert float(got.detach()) == pytest.approx(value(margins), rel=1e-12)
        got.backward()
        loss.optimizer_step()
        slopes = []
        for u in range(3):
            ends = [value([m + s * (v == u) for v, m in enumerate(margins)]) for s in (1e-6, -1e-6)]
            slopes.append(4 * (ends[0] - ends[1]) / 2e-6)
        margins = [m - 0.02 * s for m, s in zip(margins, slopes, strict=True)]
    assert loss.margins.detach().flatten().tolist() == pytest.approx(margins, abs=1e-7)


# GuidedRec ----------------------------------------------------------------------------------------


def matrix(layer) -> tuple[list[list[float]], list[float]]:
    return layer.weight.tolist(), layer.bias.tolist()


def through(layer, x: list[float]) -> list[float]:
    """Return tanh(W x + b), in floats."""
    rows, shift = matrix(layer)
    return [
        math.tanh(sum(w * a for w, a in zip(row, x, strict=True)) + b)
        for row, b in zip(rows, shift, strict=True)
    ]


def estimate(net, chance: list[float]) -> float:
    """Return the network's DCG of a row, whose first item is the relevant one."""
    pairs = [[c, float(i == 0)] for i, c in enumerate(chance)]
    row = through(net.second, through(net.first, [x for pair in pairs for x in pair]))
    items = [through(net.item, pair) for pair in pairs]
    products = [
        sum(sum(a * b for a, b in zip(one, two, strict=True)) for one in items) / len(items)
        for two in items
    ]
    mixed = through(net.mixed, products)
    joint = [a * b for a, b in zip(row, mixed, strict=True)]
    return through(net.out, through(net.narrow, joint))[0]


def chances(f: float, row: list[float]) -> list[float]:
    return [1 / (1 + math.exp(-2 * x)) for x in (f, *row)]


def test_guidedrec() -> None:
    """The model descends cross-entropy less the guide; the network the squared error alone."""
    p, n = (x.requires_grad_() for x in scores(0))
    loss = GuidedRecLoss()
    loss.setup(training(negatives=5))
    loss.double()
    net = loss.surrogate

    def loop(positive, negative) -> float:
        total = 0.0
        for f, row in zip(positive, negative, strict=True):
            c = chances(f, row)
            total -= 5 * math.log(c[0]) + sum(math.log(1 - x) for x in c[1:]) + estimate(net, c)
        return total / len(positive)

    def error() -> float:
        total = 0.0
        for f, row in zip(p.tolist(), n.tolist(), strict=True):
            dcg = 1 / math.log2(2 + sum(x > f for x in row))
            total += (estimate(net, chances(f, row)) - dcg) ** 2
        return total / len(p)

    got = loss(p, n)
    fixed = error()
    assert_same(got, p, n, lambda a, b: loop(a, b) + fixed)
    for layer in (net.first, net.second, net.item, net.mixed, net.narrow, net.out):
        for weight in (layer.weight, layer.bias):
            ends = []
            for side in (1e-6, -1e-6):
                with torch.no_grad():
                    weight.view(-1)[0] += side
                    ends.append(error())
                    weight.view(-1)[0] -= side
            slope = (ends[0] - ends[1]) / 2e-6
            assert float(weight.grad.view(-1)[0]) == pytest.approx(slope, rel=1e-5, abs=1e-9)
    with pytest.raises(ValueError, match="setup was told of 5 items a positive, got 4"):
        loss(p, n[:, :4])


def test_the_network_learns_dcg() -> None:
    """Ten steps by Adam bring it nearer; a hundred, near."""
    loss = GuidedRecLoss(surrogate_lr=0.02)
    loss.setup(training(negatives=5))

    def error(seed: int) -> float:
        p, n = (x.float() for x in scores(seed, b=256))
        chance = torch.sigmoid(2 * torch.cat([p[:, None], n], 1))
        label = torch.zeros_like(chance)
        label[:, 0] = 1
        dcg = 1 / torch.log2(2 + (n > p[:, None]).sum(1))
        with torch.no_grad():
            return float(((loss.surrogate(torch.stack([chance, label], -1)) - dcg) ** 2).mean())

    before = [error(1000)]
    for step in range(100):
        p, n = (x.float() for x in scores(step, b=64))
        loss(p, n).backward()
        loss.optimizer_step()
        if step == 9:
            before.append(error(1000))
    assert error(1000) < before[1] / 2 < before[0] / 2


def test_the_first_network_follows_from_the_stream() -> None:
    torch.manual_seed(0)
    states = []
    for _ in range(2):
        loss = GuidedRecLoss()
        loss.setup(training(negatives=9))
        states.append([x.clone() for x in loss.parameters()])
        torch.rand(1)
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
