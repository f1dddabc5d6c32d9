"""The conversions of the book's symbol map, one by one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity, softplus

from companion import theory
from psl import bpr_loss, dro, losses, pairwise_softmax_loss, softmax_loss
from psl.activations import ACTIVATIONS
from psl.models.matrix_factorization import MatrixFactorization

PAGE = (Path(__file__).parents[2] / "book" / "symbols.md").read_text(encoding="utf-8")


def cosines() -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines of five users with a positive and with 30 negatives, by torch's own function."""
    g = torch.Generator().manual_seed(0)
    u, v = (torch.randn(n, 8, generator=g, dtype=torch.float64) for n in (5, 31))
    c = cosine_similarity(u[:, None], v[None], dim=-1)
    return c[:, 0], c[:, 1:]


@pytest.mark.parametrize("tau", [0.025, 0.1])
def test_softmax_on_whole_cosines_has_twice_the_temperature(tau: float) -> None:
    positive, negative = cosines()
    whole = torch.logsumexp((negative - positive[:, None]) / (2 * tau), dim=1).mean()
    assert torch.allclose(softmax_loss(positive / 2, negative / 2, tau), whole, rtol=1e-13)


@pytest.mark.parametrize("name", ["tanh", "atan", "relu"])
def test_psl_halves_the_cosine_and_keeps_the_temperature(name: str) -> None:
    positive, negative = cosines()
    d = (negative - positive[:, None]) / 2
    sigma = {"tanh": torch.tanh(d) + 1, "atan": torch.atan(d) + 1, "relu": torch.relu(d + 1)}
    expected = torch.log((sigma[name] ** (1 / 0.1)).sum(1)).mean()
    got = pairwise_softmax_loss(positive / 2, negative / 2, 0.1, name)
    assert torch.allclose(got, expected, rtol=1e-12)
    # Without the half it would be another loss, whatever the temperature.
    assert not torch.allclose(pairwise_softmax_loss(positive, negative, 0.2, name), expected)


def test_activation_and_its_logarithm() -> None:
    d = torch.linspace(-0.9, 1, 50, dtype=torch.float64)
    for activation in ACTIVATIONS.values():
        assert torch.allclose(activation(d).log(), activation.log(d), atol=1e-14)


def test_the_backbone_scores_half_a_cosine() -> None:
    g = torch.Generator().manual_seed(0)
    model = MatrixFactorization(4, 6, 5, score="cosine", init_std=1.0, generator=g)
    u, v = model.embed(torch.arange(4))
    expected = cosine_similarity(model.user[:, None], model.item[None], dim=-1) / 2
    assert torch.allclose(u @ v.T, expected, atol=1e-6)


def test_sums_and_means() -> None:
    positive, negative = (x / 2 for x in cosines())
    total = softmax_loss(positive, negative, reduction="sum")
    assert torch.allclose(total / len(positive), softmax_loss(positive, negative))
    mean = softmax_loss(positive, negative, correction="mean")
    assert float(mean) == pytest.approx(float(softmax_loss(positive, negative)) - math.log(30))
    pairs = softplus(negative - positive[:, None]).sum(1).mean()
    assert torch.allclose(bpr_loss(positive, negative) * 30, pairs)


def test_every_name_of_the_page_exists() -> None:
    for name in ("pairwise_differences", "ranks"):
        assert f"`theory.{name}`" in PAGE and hasattr(theory, name)
    assert "`dro.worst_case`" in PAGE and hasattr(dro, "worst_case")
    for argument in ("correction=", "log_weight=", "reduction="):
        assert argument in PAGE
        assert argument[:-1] in losses.pairwise_softmax_loss.__kwdefaults__
