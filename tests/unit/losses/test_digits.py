"""A loss keeps the digits of its dtype, and a GPU gives the same."""

from __future__ import annotations

import math

import pytest
import torch

from psl.activations import get_activation, log1p_exp
from psl.losses import (
    LOSSES,
    LLPAUCLoss,
    bpr_loss,
    get_loss,
)


@pytest.mark.gpu
@pytest.mark.parametrize("name", LOSSES)
def test_a_gpu_gives_the_same(name: str) -> None:
    g = torch.Generator().manual_seed(0)
    p, n = torch.rand(64, generator=g) - 0.5, torch.rand(64, 500, generator=g) - 0.5
    loss = get_loss(name).build(0.1)
    assert torch.allclose(loss(p.cuda(), n.cuda()).cpu(), loss(p, n), rtol=1e-5, atol=1e-5)


def test_bpr_has_all_its_digits_in_float64() -> None:
    """Above 20 torch's softplus leaves exp(-20) = 2e-9 out."""
    d = torch.tensor([[20.5, 21.0, 30.0]], dtype=torch.float64)
    p = torch.zeros(1, dtype=torch.float64)
    expected = math.fsum(x + math.log1p(math.exp(-x)) for x in d[0].tolist()) / 3
    assert float(bpr_loss(p, d)) == pytest.approx(expected, rel=1e-15)
    single = torch.nn.functional.softplus(d.float()).mean()
    assert torch.equal(bpr_loss(p.float(), d.float()), single), "as recorded runs took it"


def test_one_log1p_exp_keeps_the_bits_of_losses_and_of_activations() -> None:
    """Torch's thresholds of 20 and 40 give one value in float32, and two gradients."""
    steps = torch.arange(0, 1 << 24, 97)  # every 97th number from 15 to 60
    x = (torch.tensor(15.0).view(torch.int32) + steps).int().view(torch.float32)
    x = torch.cat([x[x < 60], -x[x < 60], torch.linspace(-1, 1, 1001)]).requires_grad_()
    weight = torch.rand(len(x), generator=torch.Generator().manual_seed(0))

    def bits(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return value.detach(), torch.autograd.grad((value * weight).sum(), x)[0]

    at_20, at_40 = (bits(torch.nn.functional.softplus(x, 1, t)) for t in (20, 40))
    for got, expected in ((log1p_exp(x), at_20), (get_activation("softplus").log(x), at_40)):
        assert all(torch.equal(a, b) for a, b in zip(bits(got), expected, strict=True))


def test_llpauc_has_all_its_digits_in_float64() -> None:
    """Its hinge is log(1 + exp(5 x)) / 5: x = 4.2 is enough."""
    loss = LLPAUCLoss(1.0, 1.0).double()
    with torch.no_grad():
        loss.b.fill_(0), loss.s_neg.fill_(0), loss.s_pos.fill_(40), loss.gamma.fill_(1)
    p, n = (torch.full(shape, 50.0, dtype=torch.float64) for shape in ((1,), (1, 1)))
    # The score is 1 to the last digit: l- = 1 + 4, and the positives' hinge is 0.
    rest = math.log1p(math.exp(-25)) / 5
    assert float(loss(p, n).detach()) == pytest.approx(5 + rest - 40 - 1, rel=0, abs=1e-14)
    assert rest > 1e-12
