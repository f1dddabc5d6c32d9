"""The loss with a radius: against the dual, against PSL, and its derivatives by differences."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from psl import RobustBPRLoss, dro, pairwise_softmax_loss, robust_bpr_loss
from psl.activations import get_activation


def scores(b: int = 4, n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return (
        torch.rand(b, generator=g, dtype=torch.float64) - 0.5,
        0.9 * torch.rand(b, n, generator=g, dtype=torch.float64) - 0.45,
    )


@pytest.mark.parametrize("activation", ["exp", "tanh", "atan", "relu", "softplus"])
@pytest.mark.parametrize("eta", [1e-3, 0.3, 1.0, 2.0])
def test_value_is_the_minimum_of_the_dual(activation: str, eta: float) -> None:
    p, n = scores()
    got = robust_bpr_loss(p, n, eta, activation, reduction="none")
    for value, row in zip(got, get_activation(activation).log(n - p[:, None]), strict=True):
        dual = [
            lambda t, r=row: (
                math.exp(t) * float(torch.logsumexp(r / math.exp(t), 0))
                + math.exp(t) * (eta - math.log(len(r)))
            )
        ]
        best = minimize_scalar(dual[0], bounds=(-12, 10), method="bounded", options={"xatol": 1e-9})
        assert float(value) == pytest.approx(best.fun, rel=1e-8, abs=1e-8)


def test_it_is_psl_at_the_temperature_of_each_positive() -> None:
    p, n = scores()
    eta, log = 0.4, get_activation("relu").log
    p, n = p.requires_grad_(), n.requires_grad_()
    tau = dro.temperature_for_radius(log(n - p[:, None]).detach(), eta)
    assert float(tau.max() / tau.min()) > 1.2, "the temperatures differ"
    robust = torch.autograd.grad(robust_bpr_loss(p, n, eta, reduction="sum"), n)[0]
    for k in range(len(p)):
        t = float(tau[k])
        psl = pairwise_softmax_loss(p[k : k + 1], n[k : k + 1], t, "relu")
        value = robust_bpr_loss(p[k : k + 1], n[k : k + 1], eta)
        expected = t * (psl - math.log(n.shape[1]) + eta)
        assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)
        slope = torch.autograd.grad(psl, n)[0][k]
        assert torch.allclose(robust[k], t * slope, rtol=1e-10)


def test_gradcheck() -> None:
    p, n = (x.requires_grad_() for x in scores())
    assert torch.autograd.gradcheck(lambda a, b: robust_bpr_loss(a, b, 0.4), (p, n), atol=1e-7)
    losses = get_activation("tanh").log(scores()[1]).requires_grad_()
    eta = torch.tensor([0.1, 0.3, 0.6, 1.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(dro.temperature_for_radius, (losses, eta), atol=1e-6)

    # The whole value, temperature included: the envelope theorem in both arguments.
    def value(x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        return dro.dual_value(x, e, dro.temperature_for_radius(x, e))

    assert torch.autograd.gradcheck(value, (losses, eta), atol=1e-6)
    (slope,) = torch.autograd.grad(value(losses, eta).sum(), eta)
    assert torch.allclose(slope, dro.temperature_for_radius(losses, eta), atol=1e-9)


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    """The envelope theorem is one of first derivatives."""
    p, n = (x.requires_grad_() for x in scores())
    losses = get_activation("tanh").log(scores()[1]).requires_grad_()
    for value, inputs in (
        (robust_bpr_loss(p, n, 0.4), (p, n)),
        (dro.temperature_for_radius(losses, 0.4).sum(), (losses,)),
    ):
        plain = torch.autograd.grad(value, inputs, retain_graph=True)
        first = torch.autograd.grad(value, inputs, create_graph=True)
        assert all(torch.equal(a, b) for a, b in zip(plain, first, strict=True))
        with pytest.raises(RuntimeError, match="first derivative only"):
            sum(g.square().sum() for g in first).backward()


def test_saturated_and_mixed_batches_have_finite_derivatives() -> None:
    losses = get_activation("relu").log(scores()[1]).requires_grad_()
    eta = torch.tensor([0.1, 99.0, 0.3, 99.0], dtype=torch.float64, requires_grad=True)
    tau = dro.temperature_for_radius(losses, eta)
    assert tau[1] == tau[3] == 0
    for slope in torch.autograd.grad(tau.sum(), (losses, eta)):
        assert torch.isfinite(slope).all() and (slope[1] == 0).all()


def test_a_radius_of_nothing_is_bpr_and_a_large_one_the_worst_item() -> None:
    p, n = scores()
    losses = get_activation("softplus").log(n - p[:, None])
    tiny = robust_bpr_loss(p, n, 1e-9, "softplus", reduction="none")
    assert torch.allclose(tiny, losses.mean(1), atol=1e-4)
    large = robust_bpr_loss(p, n, 50.0, "softplus", reduction="none")
    assert torch.equal(large, losses.amax(1))


# Of an infinite score tanh and atan make a number.
@pytest.mark.parametrize(
    ("activation", "wrong"),
    [
        *((name, math.nan) for name in ("exp", "tanh", "atan", "relu", "softplus")),
        *((name, math.inf) for name in ("exp", "relu", "softplus")),
    ],
)
def test_a_score_that_is_not_a_number_shows_in_its_row(activation: str, wrong: float) -> None:
    """No error about the inside of the loss: a trainer reports a loss that is not finite."""
    p, n = scores()
    n[2, 5] = wrong
    n.requires_grad_()
    value = robust_bpr_loss(p, n, 0.4, activation, reduction="none")
    assert (~value.isfinite()).tolist() == [False, False, True, False]
    clean = robust_bpr_loss(*scores(), 0.4, activation, reduction="none")
    assert torch.equal(value.detach()[[0, 1, 3]], clean[[0, 1, 3]])
    value[0].backward()
    assert n.grad is not None and torch.isfinite(n.grad[[0, 1, 3]]).all()
    assert not RobustBPRLoss(0.4, activation)(p, n).isfinite()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("eta", "most"),
    [(1e-12, 24), (1e-9, 24), (0.01, 8), (0.1, 8), (1.0, 8), (3.0, 8), (6.9077, 24)],
)
def test_the_temperature_takes_a_few_passes(
    dtype: torch.dtype, eta: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At log(1000) = 6.90776 the ball is everything; a tiny radius in float32 is mostly noise."""
    passes, count = [], dro._radius_and_variance
    monkeypatch.setattr(dro, "_radius_and_variance", lambda *a: passes.append(1) or count(*a))
    g = torch.Generator().manual_seed(1)
    p, n = torch.rand(64, generator=g) - 0.5, torch.rand(64, 1000, generator=g) - 0.5
    robust_bpr_loss(p.to(dtype), n.to(dtype), eta)
    assert 1 <= len(passes) <= most


def test_module_and_refusals() -> None:
    p, n = scores()
    module = RobustBPRLoss(0.4, "atan", reduction="sum")
    assert torch.equal(module(p, n), robust_bpr_loss(p, n, 0.4, "atan", reduction="sum"))
    assert "eta=0.4, activation='atan', reduction='sum'" in repr(module)
    learned = RobustBPRLoss(torch.nn.Parameter(torch.tensor(0.5)))
    assert "eta=0.5, " in repr(learned)
    with pytest.raises(ValueError, match="eta must be positive"):
        RobustBPRLoss(0.0)
    for eta in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="eta must be positive and finite"):
            robust_bpr_loss(p, n, eta)
    with pytest.raises(ValueError, match="unknown activation"):
        RobustBPRLoss(1.0, "relux")
    with pytest.raises(ValueError, match=r"\(B, N\)"):
        robust_bpr_loss(p, n[0])


def test_the_loss_asks_nothing_of_the_temperature_that_it_solved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each question is one more wait for a GPU."""
    p, n = (x.requires_grad_() for x in scores())
    asked = robust_bpr_loss(p, n, 0.4)
    tau = dro.temperature_for_radius(get_activation("relu").log(n - p[:, None]).detach(), 0.4)

    def ask(*_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(dro, "_check", ask)
    value = robust_bpr_loss(p, n, 0.4)
    value.backward()
    assert torch.equal(value, asked)
    losses = get_activation("relu").log(n - p[:, None])
    assert torch.equal(dro.dual_value(losses, 0.4, tau, check=False).mean(), asked)
    with pytest.raises(AssertionError, match="asked"):
        dro.dual_value(losses, 0.4, tau)
