"""The negatives of a row are the items of the other rows, but for those that are none."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from psl import PairwiseSoftmaxLoss, SoftmaxLoss, half_cosine, in_batch_loss, pairwise_softmax_loss
from psl.activations import ACTIVATIONS
from psl.ops import from_embeddings

TAU = torch.tensor(0.2, dtype=torch.float64)


def problem(
    batch: int, extra: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Embeddings, and what may be said of the items: ids that repeat, what is known, log q."""
    g = torch.Generator().manual_seed(batch)
    u, v = (torch.randn(n, 5, generator=g, dtype=torch.float64) for n in (batch, batch + extra))
    u, v = (x.to(dtype) for x in half_cosine(u, v))
    said = {
        "item_ids": torch.randint(batch + 1, (batch + extra,), generator=g),
        "known": torch.rand(batch, batch + extra, generator=g) < 0.2,
        "log_q": torch.rand(batch + extra, generator=g, dtype=torch.float64).log(),
    }
    return u, v, said


def naive(
    u: Tensor, v: Tensor, activation: str, tau: Any, reduction: str, said: dict[str, Tensor]
) -> Tensor:
    """Go over the rows and their items one by one, in float64."""
    rows, counted = [], 0
    for k in range(len(u)):
        terms = []
        for j in range(len(v)):
            same = said["item_ids"][j] == said["item_ids"][k] if "item_ids" in said else j == k
            if same or ("known" in said and said["known"][k, j]):
                continue
            log = ACTIVATIONS[activation].log((u[k] * v[j]).sum() - (u[k] * v[k]).sum())
            terms.append(log / tau - (said["log_q"][j] if "log_q" in said else 0))
        counted += bool(terms)
        rows.append(torch.stack(terms).exp().sum().log() if terms else u.sum() * 0)
    value = torch.stack(rows)
    return {"none": value, "sum": value.sum(), "mean": value.sum() / max(counted, 1)}[reduction]


SAID = [(), ("item_ids",), ("known",), ("log_q",), ("item_ids", "known", "log_q")]


@pytest.mark.parametrize("most", [0, 1 << 25], ids=["parts", "whole"])
@pytest.mark.parametrize("names", SAID, ids="+".join)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("activation", ["exp", "relu", "tanh"])
def test_values_and_gradients_are_those_of_a_loop(
    activation: str, reduction: Any, names: tuple[str, ...], most: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(from_embeddings, "MOST_BYTES", {"cpu": most})
    for batch, extra in ((7, 0), (6, 3)):
        tables = problem(batch, extra)
        said = {name: tables[2][name] for name in names}
        if "known" in said:
            said["known"][2] = True  # a row with nothing left
        loss = PairwiseSoftmaxLoss(
            0.2, activation, reduction=reduction if reduction == "mean" else "none"
        )
        results = []
        for path in ("loop", "module"):
            u, v = (x.clone().requires_grad_() for x in tables[:2])
            if path == "loop":
                value = naive(u, v, activation, 0.2, reduction, said)
            else:
                value = in_batch_loss(u, v, loss, reduction=reduction, rows=2, **said)
            weight = torch.linspace(1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
            results.append((value, *torch.autograd.grad((weight * value).sum(), (u, v))))
        for expected, got in zip(*results, strict=True):
            assert torch.allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_other_precisions(dtype: torch.dtype) -> None:
    u, v, said = problem(9, 2, dtype)
    value = in_batch_loss(u, v, SoftmaxLoss(0.2), **said)
    expected = naive(u.double(), v.double(), "exp", 0.2, "mean", said)
    assert value.dtype == torch.float32 and torch.allclose(value.double(), expected, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(in_batch_loss(u, v, SoftmaxLoss(0.2), **said), value)


@pytest.mark.parametrize("most", [0, 1 << 25], ids=["parts", "whole"])
def test_a_batch_of_which_nothing_is_left_is_zero(most: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(from_embeddings, "MOST_BYTES", {"cpu": most})
    for batch, ids in ((1, None), (5, torch.zeros(5, dtype=torch.int64)), (0, None)):
        u, v = (x.requires_grad_() for x in problem(batch, 0 if batch else 2)[:2])
        for loss in (SoftmaxLoss(0.2), SoftmaxLoss(0.2, reduction="none")):
            value = in_batch_loss(u, v, loss, item_ids=ids, rows=2)
            assert not value.any()
            if batch:
                for grad in torch.autograd.grad(value, (u, v)):
                    assert not grad.any()


def test_a_learned_temperature_and_log_q_get_their_gradients(monkeypatch: Any) -> None:
    monkeypatch.setattr(from_embeddings, "MOST_BYTES", {"cpu": 0})
    u, v, said = problem(7)
    results = []
    for path in ("loop", "function"):
        tau, log_q = TAU.clone().requires_grad_(), said["log_q"].clone().requires_grad_()
        told = said | {"log_q": log_q}
        if path == "loop":
            value = naive(u, v, "relu", tau, "mean", told)
        else:
            value = in_batch_loss(u, v, partial(pairwise_softmax_loss, tau=tau), rows=2, **told)
        results.append((value, *torch.autograd.grad(value, (tau, log_q))))
    for expected, got in zip(*results, strict=True):
        assert torch.allclose(got, expected, rtol=1e-10)


class Largest(TorchDispatchMode):
    """The most numbers that a tensor made meanwhile has."""

    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.data_ptr() not in {
            x.data_ptr() for x in args if isinstance(x, Tensor)
        }:
            self.most = max(self.most, out.untyped_storage().nbytes())
        return out


def test_no_matrix_of_the_batch_against_itself_is_made(monkeypatch: Any) -> None:
    monkeypatch.setattr(from_embeddings, "MOST_BYTES", {"cpu": 0})
    u, v = (x.requires_grad_() for x in problem(300, dtype=torch.float32)[:2])
    with Largest() as seen:
        in_batch_loss(u, v, SoftmaxLoss(0.2), rows=10).backward()
    assert seen.most <= 10 * 300 * 8 < 300 * 300


def test_rows_that_depend_on_one_another_are_taken_at_once(monkeypatch: Any) -> None:
    monkeypatch.setattr(from_embeddings, "MOST_BYTES", {"cpu": 0})

    def coupled(p: Tensor, n: Tensor, *, log_weight: Tensor) -> Tensor:
        return torch.logsumexp(n + log_weight, 1) - p.mean()

    u, v, _ = problem(9)
    scores = (u @ v.T).fill_diagonal_(-math.inf)
    expected = (torch.logsumexp(scores, 1) - (u * v).sum(1).mean()).mean()
    assert torch.allclose(in_batch_loss(u, v, coupled, rows=2), expected)


def test_what_does_not_fit_is_refused() -> None:
    u, v, said = problem(4, 2)
    loss = SoftmaxLoss(0.2)
    for name, wrong, words in (
        ("item_ids", said["item_ids"][:5], r"item_ids must have shape \(6,\)"),
        ("item_ids", said["item_ids"].int(), "must be int64"),
        ("log_q", said["log_q"][:4], r"log_q must have shape \(6,\)"),
        ("known", said["known"][:, :4], r"known must have shape \(4, 6\)"),
    ):
        with pytest.raises(ValueError, match=words):
            in_batch_loss(u, v, loss, **{name: wrong})
    with pytest.raises(ValueError, match="for 6 rows"):
        in_batch_loss(v, u, loss)
    with pytest.raises(ValueError, match="NaN or inf"):
        in_batch_loss(u, v, loss, log_q=torch.full((6,), -math.inf))
    for reduction, own in (("none", "mean"), ("mean", "sum")):
        with pytest.raises(ValueError, match=r"one value a row"):
            in_batch_loss(u, v, SoftmaxLoss(0.2, reduction=own), reduction=reduction)
    with pytest.raises(ValueError, match="reduction must be"):
        in_batch_loss(u, v, loss, reduction="average")  # type: ignore[arg-type]


def test_it_can_be_compiled_whole() -> None:
    u, v, said = problem(7, 2, torch.float32)

    def value(u: Tensor, v: Tensor) -> Tensor:
        return in_batch_loss(u, v, SoftmaxLoss(0.2), **said)

    results = []
    for call in (value, torch.compile(value, backend="aot_eager", fullgraph=True)):
        inputs = [x.clone().requires_grad_() for x in (u, v)]
        found = call(*inputs)
        results.append((found, *torch.autograd.grad(found, inputs)))
    for expected, got in zip(*results, strict=True):
        assert torch.allclose(got, expected, atol=1e-6)
