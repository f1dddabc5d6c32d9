"""What does not fit is refused, and what is not a number shows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from psl.losses import LOSSES, Batch, PairwiseSoftmaxLoss, get_loss
from psl.ops import catalogue_loss, half_cosine, sampled_loss, sampled_scores, unit_rows
from scoring_problems import GATHER, KERNELS, PRODUCT, loss_by_name, needs_kernels, problem


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", ["psl-relu", "llpauc"])
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_id_outside_the_catalogue_is_an_error(
    name: str,
    size: tuple[int, int],
    dtype: torch.dtype,
    kernels: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In every path; -1 is not the last item."""
    monkeypatch.setenv("PSL_KERNELS", kernels)
    words = rf"not in 0 \.\. {size[0] - 1}"
    for wrong in (size[0], -1):
        for place in (2, 3):
            inputs = problem(*size, dtype=dtype)
            inputs[place].view(-1)[-1] = wrong
            with pytest.raises(IndexError, match=words):
                sampled_loss(*inputs, get_loss(name).build(0.2))
        users, items, positive, negative = problem(*size, dtype=dtype)
        positive[-1] = wrong
        with pytest.raises(IndexError, match=words):
            catalogue_loss(users, items, positive, PairwiseSoftmaxLoss(0.1))
        negative[3, 1] = wrong
        with pytest.raises(IndexError, match=words):
            sampled_scores(users, items, negative)


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
        # A sigmoid of infinity is a number, and so is what a margin cuts: some survive one.
        softmax = name in ("sl", "sl@20", "sl@k", "bsl", "advinfonce") or name.startswith("psl-")
        assert (value == float("inf") and not softmax) or not torch.isfinite(
            sampled_loss(*inputs, loss)
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": (4, 5)}, r"users \(B, d\) and items \(I, d\), got \(4, 5\) and \(9, 6\)"),
        ({"users": (6,)}, "expected users"),
        ({"positive": (3,)}, r"ids for 4 rows, got \(3,\)"),
        ({"negative": (5, 2)}, r"ids for 4 rows, got \(5, 2\)"),
        ({"positive": (4, 1)}, r"expected \(B,\) item ids for 4 rows, got \(4, 1\)"),
        ({"negative": (4,)}, r"expected \(B, N\) item ids for 4 rows, got \(4,\)"),
        ({"negative": (4, 2, 1)}, r"expected \(B, N\) item ids for 4 rows, got \(4, 2, 1\)"),
        ({"dtype": torch.int32}, "must be int64, got torch.int32"),
    ],
)
@pytest.mark.parametrize("name", ["psl-relu", "bpr"])
def test_what_does_not_fit_is_refused_before_a_kernel_reads_it(
    name: str, change: dict[str, Any], words: str
) -> None:
    shapes = {"users": (4, 6), "items": (9, 6), "positive": (4,), "negative": (4, 2)} | change
    kind = shapes.pop("dtype", torch.int64)
    tables_ = [torch.zeros(*shapes[k]) for k in ("users", "items")]
    ids = [torch.zeros(*shapes[k], dtype=kind) for k in ("positive", "negative")]
    with pytest.raises(ValueError, match=words):
        sampled_loss(*tables_, *ids, get_loss(name).build(0.1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [0, -1])
def test_at_least_one_row_is_taken_at_once(rows: int, dtype: torch.dtype) -> None:
    """With -1 the plain path would take none, and return what memory held."""
    users, items, positive, negative = problem(*PRODUCT, dtype=dtype)
    loss, words = get_loss("sl").build(0.1), "rows must be at least 1"
    with pytest.raises(ValueError, match=words):
        catalogue_loss(users, items, positive, loss, rows=rows)
    with pytest.raises(ValueError, match=words):
        sampled_loss(users, items, positive, negative, loss, rows=rows)
    with pytest.raises(ValueError, match=words):
        sampled_scores(users, items, negative, rows=rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(4,), (2, 3, 4)])
def test_unit_rows_are_rows_of_a_matrix(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=r"expected rows \(M, d\), got \("):
        unit_rows(torch.ones(shape, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_embeddings_are_floating_point(dtype: torch.dtype) -> None:
    """Of integers the unit rows would be integers: zeros."""
    whole, floats = torch.ones(3, 2, dtype=dtype), torch.ones(3, 2)
    ids = torch.zeros(3, dtype=torch.int64)
    for call in (
        lambda: unit_rows(whole),
        lambda: half_cosine(floats, whole),
        lambda: sampled_scores(whole, floats, ids.unsqueeze(1)),
        lambda: catalogue_loss(floats, whole, ids, PairwiseSoftmaxLoss(0.1)),
        lambda: sampled_loss(whole, whole, ids, ids.unsqueeze(1), PairwiseSoftmaxLoss(0.1)),
    ):
        with pytest.raises(ValueError, match="embeddings must be floating point, got"):
            call()


@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_an_empty_catalogue_is_refused(shape: tuple[int, int]) -> None:
    users, ids = torch.zeros(3, shape[1]), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="no item to compare with"):
        catalogue_loss(users, torch.zeros(shape), ids, PairwiseSoftmaxLoss(0.1))
    with pytest.raises(ValueError, match="no item to compare with"):
        sampled_scores(users, torch.zeros(shape), ids.unsqueeze(1))
