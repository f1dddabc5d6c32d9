"""A loss without a kernel is taken in parts where its batch is large, and gives the same."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from psl.activations import ACTIVATIONS, Activation
from psl.errors import UnknownNameError
from psl.losses import Batch, BPRLoss, BSLLoss, LLPAUCLoss, PairwiseSoftmaxLoss, bpr_loss
from psl.losses.robust import RobustBPRLoss
from psl.ops import catalogue_loss, from_embeddings, sampled_loss, sampled_scores
from scoring_problems import GATHER, KERNELS, PRODUCT, needs_kernels, problem, reference


@pytest.fixture
def four_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let four rows be the most that are taken at once; return how many each call of a loss got."""
    sizes: list[int] = []
    whole = from_embeddings.checkpoint

    def spy(function: Callable[..., Tensor], u: Tensor, *rest: Any, **how: Any) -> Tensor:
        sizes.append(len(u))
        return whole(function, u, *rest, **how)

    monkeypatch.setattr(from_embeddings, "checkpoint", spy)
    monkeypatch.setattr(from_embeddings, "MOST_BYTES", {"cpu": 0})
    return sizes


TAU = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
INDEPENDENT: dict[str, Callable[..., Tensor]] = {
    "module": BPRLoss(),
    "rows": BPRLoss(reduction="none"),
    "inside": PairwiseSoftmaxLoss(0.2, "tanh", form="inside"),
    "learned": PairwiseSoftmaxLoss(TAU, "tanh"),
    "closure": lambda p, n: (n.max(1).values - p) * TAU,
    "partial": partial(bpr_loss, reduction="none"),
    "bsl": BSLLoss(0.2, 0.3),
    "llpauc": LLPAUCLoss(0.7, 0.1).double(),
    "robust": RobustBPRLoss(0.5),
}


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("name", INDEPENDENT)
def test_values_gradients_and_those_of_the_losss_own(
    name: str, size: Any, dtype: torch.dtype, kernels: str, four_rows: list[int], monkeypatch: Any
) -> None:
    monkeypatch.setenv("PSL_KERNELS", kernels)
    loss, tables = INDEPENDENT[name], problem(*size, dtype=dtype)
    own = [*loss.parameters()] if isinstance(loss, torch.nn.Module) else []
    own = own or [TAU] * (name == "closure")
    results = []
    for path, kind in ((reference, torch.float64), (partial(sampled_loss, rows=4), dtype)):
        u, v = (x.detach().to(kind).requires_grad_() for x in tables[:2])
        value = path(u, v, *tables[2:], loss)
        results.append((value, *torch.autograd.grad(3 * value, (u, v, *own))))
    assert four_rows == [4, 4, 3]
    for expected, got in zip(*results, strict=True):
        error = 1e-11 if dtype == torch.float64 else 1e-5
        assert torch.allclose(got.double(), expected, rtol=error, atol=error)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_other_reductions_and_a_fused_loss_row_by_row(reduction: Any, four_rows: list[int]) -> None:
    inputs, loss = problem(*PRODUCT), PairwiseSoftmaxLoss(0.2)
    weight = torch.linspace(1, 2, 11, dtype=torch.float64)
    for other in (BPRLoss(reduction="none"), *([loss] if reduction == "none" else [])):
        results = []
        for rows in (4, 64):
            u, v = (x.detach().requires_grad_() for x in inputs[:2])
            value = sampled_loss(u, v, *inputs[2:], other, reduction=reduction, rows=rows)
            results.append((value, *torch.autograd.grad((value * weight).sum(), (u, v))))
        assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(*results, strict=True))
    assert set(four_rows) == {3, 4}


class Coupled(BPRLoss):
    """One row counts by the sign of another, which two rows may not show."""

    coupled_rows = True


IDS = torch.arange(11) // 2
COUPLED: dict[str, Callable[..., Tensor]] = {
    "group": partial(BSLLoss(0.2, 0.3), batch=Batch(IDS, IDS, IDS)),
    "weights": lambda p, n: bpr_loss(p, n, reduction="none") * IDS,
    "sliced": lambda p, n: bpr_loss(p, n, reduction="none") * torch.arange(11)[: len(p)],
    "centred": lambda p, n: (n.mean(1) - p + p.mean()).exp(),
    "declared": Coupled(),
}


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_rows_stay_together(name: str, four_rows: list[int]) -> None:
    inputs = problem(*PRODUCT)
    value = sampled_loss(*inputs, COUPLED[name], rows=4)
    assert not four_rows and torch.allclose(value, reference(*inputs, COUPLED[name]))


def test_who_says_that_rows_are_independent_is_believed(four_rows: list[int]) -> None:
    seen: list[int] = []

    class Said(BPRLoss):
        coupled_rows = False

        def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
            seen.append(len(positive))
            return super().forward(positive, negative)

    inputs, loss = problem(*PRODUCT), Said()
    value = sampled_loss(*inputs, loss, rows=4)
    assert four_rows and 2 not in seen and torch.allclose(value, reference(*inputs, loss))


def test_a_second_derivative_is_refused(four_rows: list[int]) -> None:
    users, items, *ids = problem(*PRODUCT)
    users.requires_grad_()
    value = sampled_loss(users, items, *ids, BPRLoss(), rows=4)
    (first,) = torch.autograd.grad(value, users, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        first.square().sum().backward()
    assert four_rows


class Peak(TorchDispatchMode):
    """Count the bytes of all tensors that live at once, beyond those there were before."""

    now = most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else (out,):
            if isinstance(x, Tensor) and x.data_ptr() and not func.is_view:
                size = x.untyped_storage().nbytes()
                self.now += size
                self.most = max(self.most, self.now)
                weakref.finalize(x.untyped_storage(), self.free, size)
        return out

    def free(self, size: int) -> None:
        self.now -= size


@pytest.mark.parametrize("name", ["rows", "inside", "bsl"])
def test_memory_does_not_grow_with_the_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a fourth of one (B, N) of scores, of which there are several in the whole at once."""
    batch, count, size = 2048, 200, 60
    g = torch.Generator().manual_seed(0)
    u, v = (torch.randn(n, 4, generator=g).requires_grad_() for n in (batch, size))
    ids = torch.randint(size, (batch,), generator=g), torch.randint(size, (batch, count))
    peaks = []
    for most in (1 << 14, 1 << 30):
        monkeypatch.setattr(from_embeddings, "MOST_BYTES", {"cpu": most})
        with Peak() as peak:
            sampled_loss(u, v, *ids, INDEPENDENT[name], rows=16).backward()
        peaks.append(peak.most)
    assert peaks[0] < batch * count < 4 * batch * count < peaks[1], peaks


@needs_kernels
@pytest.mark.parametrize("loss", [PairwiseSoftmaxLoss(0.2), BPRLoss()], ids=str)
@pytest.mark.parametrize("catalogue", [False, True])
def test_the_implementation_is_chosen_by_call(
    loss: Any, catalogue: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = problem(*PRODUCT, dtype=torch.float32)
    if catalogue and loss.__class__ is BPRLoss:
        inputs, take = [*inputs[:2], inputs[3]], lambda *a, **how: sampled_scores(*a[:-1], **how)
    elif catalogue:
        inputs, take = inputs[:3], catalogue_loss
    else:
        take = sampled_loss
    by_call = {impl: take(*inputs, loss, impl=impl) for impl in ("auto", "kernel", "torch")}
    for kernels, impl in (("on", "kernel"), ("on", "auto"), ("off", "torch")):
        monkeypatch.setenv("PSL_KERNELS", kernels)
        assert torch.equal(take(*inputs, loss), by_call[impl])
    with pytest.raises(ValueError, match=r"impl='kernel': none of \w+ serves torch.float32 on cpu"):
        take(*inputs, loss, impl="kernel")
    wide = [x.double() if x.is_floating_point() else x for x in inputs]
    monkeypatch.setenv("PSL_KERNELS", "on")
    with pytest.raises(ValueError, match=r"serves torch\.float64"):
        take(*wide, loss, impl="kernel")
    with pytest.raises(UnknownNameError, match="unknown impl 'kernels'"):
        take(*inputs, loss, impl="kernels")


def test_a_kernel_that_does_not_know_the_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    square = Activation("square", lambda d: 2 * torch.log1p(d / 2), lambda d: 1 / (1 + d / 2))
    monkeypatch.setitem(ACTIVATIONS, "square", square)
    inputs = problem(*PRODUCT, dtype=torch.float32)
    with pytest.raises(ValueError, match="no activation 'square'"):
        sampled_loss(*inputs, PairwiseSoftmaxLoss(0.2, "square"), impl="kernel")
