"""The same bits in any number of threads, also where a product of matrices is small."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from companion.threads import torch_threads
from psl.losses import PairwiseSoftmaxLoss
from psl.ops import catalogue_loss, half_cosine, sampled_loss
from scoring_problems import KERNELS

# B, N (0: the whole catalogue), I, d
SHAPES = [(64, 33, 5, 64), (7, 0, 401, 63), (6, 200, 300, 64), (9, 0, 64, 128), (10, 40, 7, 16)]


def results(shape: tuple[int, int, int, int], dtype: torch.dtype) -> list[Tensor]:
    batch, count, size, dim = shape
    g = torch.Generator().manual_seed(batch)
    tables = [torch.randn(n, dim, generator=g).to(dtype).requires_grad_() for n in (batch, size)]
    positive = torch.randint(size, (batch,), generator=g)
    loss = PairwiseSoftmaxLoss(0.1)
    if count:
        negative = torch.randint(size, (batch, count), generator=g)
        value = sampled_loss(*half_cosine(*tables), positive, negative, loss)
    else:
        value = catalogue_loss(*half_cosine(*tables), positive, loss)
    return [value.detach(), *torch.autograd.grad(value, tables)]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_small_products_have_the_same_bits_in_any_number_of_threads(
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    kernels: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PSL_KERNELS", kernels)
    before = torch.get_num_threads()
    with torch_threads(1):
        expected = results(shape, dtype)
    for threads in (2, 3, 4):
        with torch_threads(threads):
            got = results(shape, dtype)
            assert torch.get_num_threads() == threads
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True)), threads
    assert torch.get_num_threads() == before
