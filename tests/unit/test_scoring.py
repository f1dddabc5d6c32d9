"""Every road of ``sampled_loss`` against a gather and autograd, for every loss of the registry."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from psl.fast import cpu_kernels
from psl.losses import LOSSES, Batch, Player, get_loss
from psl.scoring import sampled_loss, sampled_scores

# 64 columns and more a score: the gather is taken when N * 64 < I.
PRODUCT, GATHER = (37, 13), (800, 3)
needs_kernels = pytest.mark.skipif(cpu_kernels(torch.zeros(1)) is None, reason="numba is missing")


def problem(items: int, count: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    g = torch.Generator().manual_seed(items)
    batch, dim = 11, 6
    users = torch.randn(batch, dim, generator=g).to(dtype) * 0.2
    table = torch.randn(items, dim, generator=g).to(dtype) * 0.2
    positive = torch.randint(items, (batch,), generator=g)
    negative = torch.randint(items, (batch, count), generator=g)
    # The same item twice in a row, and the positive among them: gradients must add up.
    negative[0, 1], negative[1, 0], positive[3] = negative[0, 0], positive[1], positive[2]
    return [users, table, positive, negative]


def loss_by_name(name: str, batch: Batch | None = None):
    """Build a loss with state, so that nothing it holds is missing."""
    loss = get_loss(name).build(0.2)
    loss.reduction = "none"
    if not isinstance(loss, Player):
        return loss
    loss.start(12, 800, lr=0.1, weight_decay=0.0, generator=torch.Generator().manual_seed(1))
    return lambda p, n: loss.to(p.dtype)(p, n, batch)


def reference(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, loss) -> Tensor:
    score = (users[:, None, :] * items[torch.cat([positive[:, None], negative], 1)]).sum(-1)
    return loss(score[:, 0], score[:, 1:]).mean()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("rows", [1, 4, 64])
def test_value_and_gradients(name: str, size: tuple[int, int], rows: int) -> None:
    users, items, positive, negative = problem(*size)
    loss = loss_by_name(name, Batch(torch.arange(11) // 2, positive, negative))
    results = []
    for route in (reference, lambda *a: sampled_loss(*a, rows=rows)):
        u, v = users.clone().requires_grad_(), items.clone().requires_grad_()
        value = route(u, v, positive, negative, loss)
        # A factor on the loss must reach the gradients.
        results.append((value, *torch.autograd.grad(3 * value, (u, v))))
    for expected, got in zip(*results, strict=True):
        assert torch.allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("kernels", ["off", pytest.param("on", marks=needs_kernels)])
def test_single_precision(
    name: str, size: tuple[int, int], kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_KERNELS", kernels)
    users, items, positive, negative = problem(*size, dtype=torch.float32)
    loss = loss_by_name(name, Batch(torch.arange(11) // 2, positive, negative))
    results = []
    for route, dtype in ((reference, torch.float64), (sampled_loss, torch.float32)):
        u, v = (x.detach().to(dtype).requires_grad_() for x in (users, items))
        value = route(u, v, positive, negative, loss)
        results.append((value, *torch.autograd.grad(3 * value, (u, v))))
    for expected, got in zip(*results, strict=True):
        scale = float(expected.detach().abs().max())
        assert torch.allclose(got.double(), expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_pass_gradcheck_in_what_they_return(dtype: torch.dtype) -> None:
    users, items, _, columns = problem(*PRODUCT, dtype=torch.float64)
    u, v = users.requires_grad_(), items.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sampled_scores(a, b, columns), (u, v))
    weight = torch.randn(columns.shape, generator=torch.Generator().manual_seed(3)).to(dtype)
    a, b = users.detach().to(dtype).requires_grad_(), items.detach().to(dtype).requires_grad_()
    (sampled_scores(a, b, columns) * weight).sum().backward()
    c, d = users.detach().requires_grad_(), items.detach().requires_grad_()
    ((c[:, None] * d[columns]).sum(-1) * weight.double()).sum().backward()
    for got, expected in ((a.grad, c.grad), (b.grad, d.grad)):
        assert torch.allclose(got.double(), expected, rtol=1e-4, atol=1e-5)


def test_parameters_of_the_loss_get_gradients() -> None:
    users, items, positive, negative = problem(*PRODUCT, dtype=torch.float32)
    loss = get_loss("llpauc").build(1.0, alpha=0.5, beta=0.1)
    sampled_loss(users, items, positive, negative, loss).backward()
    assert all(p.grad is not None and p.grad.abs() > 0 for p in loss.parameters())


@needs_kernels
@pytest.mark.parametrize("name", ["psl-relu", "llpauc"])
@pytest.mark.parametrize("wrong", [37, -1])
def test_an_id_outside_the_catalogue_is_an_error(name: str, wrong: int) -> None:
    for place in (2, 3):
        inputs = problem(*PRODUCT, dtype=torch.float32)
        inputs[place].view(-1)[-1] = wrong
        with pytest.raises(IndexError, match=r"not in 0 \.\. 36"):
            sampled_loss(*inputs, loss_by_name(name))


@needs_kernels
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_numbers_show(name: str, value: float) -> None:
    """Whichever embedding is broken, the loss is not finite: a diverging run must stop."""
    for table in (0, 1):
        inputs = problem(*PRODUCT, dtype=torch.float32)
        row = int(inputs[3][4, 5]) if table else 4
        inputs[table][row, 2] = value
        loss = loss_by_name(name, Batch(torch.arange(11), inputs[2], inputs[3]))
        # A sigmoid of infinity is a number: LLPAUC and BPR may well survive one.
        survives = value == float("inf") and name in ("llpauc", "bpr")
        assert survives or not torch.isfinite(sampled_loss(*inputs, loss))


def test_nothing_is_kept_when_nothing_is_asked_for() -> None:
    loss = get_loss("sl").build(0.1)
    for size in (PRODUCT, GATHER):
        for dtype in (torch.float32, torch.float64):
            assert not sampled_loss(*problem(*size, dtype=dtype), loss).requires_grad
