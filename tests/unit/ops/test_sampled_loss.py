"""Every path of ``sampled_loss`` against a gather and autograd, for every loss of the registry."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from companion.datasets import synthetic
from psl.evaluation import evaluate
from psl.losses import (
    LOSSES,
    Batch,
    PairwiseSoftmaxLoss,
    SoftmaxLoss,
    get_loss,
    pairwise_softmax_loss,
)
from psl.ops import catalogue_loss, half_cosine, sampled_loss, unit_rows
from psl.ops import reference as plain_path
from scoring_problems import GATHER, KERNELS, PRODUCT, loss_by_name, problem, reference


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
@pytest.mark.parametrize("kernels", KERNELS)
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


def test_parameters_of_the_loss_get_gradients() -> None:
    users, items, positive, negative = problem(*PRODUCT, dtype=torch.float32)
    loss = get_loss("llpauc").build(1.0, alpha=0.5, beta=0.1)
    sampled_loss(users, items, positive, negative, loss).backward()
    assert all(p.grad is not None and p.grad.abs() > 0 for p in loss.parameters())


def test_nothing_is_kept_when_nothing_is_asked_for() -> None:
    loss = get_loss("sl").build(0.1)
    for size in (PRODUCT, GATHER):
        for dtype in (torch.float32, torch.float64):
            assert not sampled_loss(*problem(*size, dtype=dtype), loss).requires_grad


def test_the_plain_path_gathers_no_more_than_the_catalogue_has_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five columns of 200 numbers are more than 800 scores, two are fewer."""
    monkeypatch.setenv("PSL_KERNELS", "off")
    gathered, whole = [], plain_path.embedding
    monkeypatch.setattr(
        plain_path, "embedding", lambda c, i: gathered.append(c.numel()) or whole(c, i)
    )
    g = torch.Generator().manual_seed(0)
    users, items = torch.randn(8, 200, generator=g), torch.randn(800, 200, generator=g)
    for count, expected in ((5, []), (2, [6] * 4)):
        gathered.clear()
        columns = torch.randint(800, (8, count + 1), generator=g)[:, 1:]
        u, v = users.clone().requires_grad_(), items.clone().requires_grad_()
        loss = get_loss("sl").build(0.1)
        sampled_loss(u, v, columns[:, 0], columns, loss, rows=2).backward()
        assert sorted(set(gathered)) == sorted(set(expected))


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_over_the_batch_is_returned_or_nothing(name: str) -> None:
    inputs, loss = problem(*PRODUCT), get_loss(name).build(0.2)
    loss.to(torch.float64)
    loss.reduction = "mean"
    mean = sampled_loss(*inputs, loss)
    loss.reduction = "none"
    assert torch.allclose(sampled_loss(*inputs, loss), mean, rtol=1e-12)
    for reduction in ("sum", "avg"):
        loss.reduction = reduction
        for call in (loss, partial(loss), partial(loss, batch=None)):
            with pytest.raises(ValueError, match=f"'mean' or 'none' here, got '{reduction}'"):
                sampled_loss(*inputs, call)
        with pytest.raises(ValueError, match=f"'mean' or 'none' here, got '{reduction}'"):
            catalogue_loss(*inputs[:3], loss)
    given = partial(pairwise_softmax_loss, reduction="sum")
    with pytest.raises(ValueError, match="got 'sum'"):
        sampled_loss(*inputs, given)
    assert torch.isfinite(sampled_loss(*inputs, partial(given, reduction="none")))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_half_cosine_is_half_the_cosine(dtype: torch.dtype) -> None:
    users, items, *_ = problem(*PRODUCT, dtype=dtype)
    u, v = half_cosine(3 * users, 0.2 * items)
    cosine = torch.nn.functional.cosine_similarity(users[:, None], items[None], dim=-1)
    assert torch.allclose(u @ v.T, cosine / 2, atol=1e-6)
    assert torch.allclose(unit_rows(items), v) and float((u @ v.T).abs().max()) <= 0.5 + 1e-6


def disjoint(seen, liked):
    """Train on what was seen, test on what is liked beyond it."""
    return seen, liked.difference(seen)


@pytest.mark.parametrize("loss", [SoftmaxLoss(0.1), PairwiseSoftmaxLoss(0.1)], ids=str)
def test_ten_lines_train_a_model(loss) -> None:
    """What README shows: embeddings, scale, negatives, loss, Adam."""
    import psl

    train, test = disjoint(*synthetic(np.random.default_rng(0), 150, 120, 30, 15))
    g = torch.Generator().manual_seed(0)
    user, item = (torch.nn.Parameter(torch.randn(n, 8, generator=g) * 0.1) for n in (150, 120))
    sampler, adam = psl.UniformNegatives(train), torch.optim.Adam([user, item], lr=0.03)
    users, positive = torch.from_numpy(train.users), torch.from_numpy(train.items)

    def ndcg() -> float:
        u, v = (x.detach() for x in psl.half_cosine(user, item))
        return evaluate(lambda ids: (u[ids], v), test, train, cutoffs=(20,))["ndcg@20"]

    before = ndcg()
    for step in range(60):
        u, v = psl.half_cosine(user[users], item)
        value = psl.sampled_loss(u, v, positive, sampler.sample(users, 50, key=step), loss)
        adam.zero_grad()
        value.backward()
        adam.step()
    assert ndcg() > 2 * before
