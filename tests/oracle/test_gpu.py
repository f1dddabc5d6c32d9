"""What only a GPU shows: the paper's sizes, no waiting for the device, and memory within bounds.

``test_operators.py`` holds the kernels against float64 torch; with ``--run-gpu``, on a GPU too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from companion.datasets import load
from psl.activations import ACTIVATIONS
from psl.evaluation import evaluate
from psl.interactions import Interactions
from psl.kernels.dispatch import gpu_kernels
from psl.losses import LOSSES, Batch, PairwiseSoftmaxLoss, StatefulLoss, get_loss
from psl.models.backbones import BACKBONES
from psl.negatives import UniformNegatives
from psl.ops import catalogue_loss, sampled_loss
from psl.streams import stream_key
from psl.training import Progress, RunConfig, train
from psl.training.state import TrainState
from psl.training.step import recorded_step

pytestmark = pytest.mark.gpu
BATCH, DIM, COUNT, DEVICE = 1024, 64, 1000, "cuda"
DENSE, SPARSE = 8_000, 70_000  # below and above 2000 items and 8 for each draw


@pytest.fixture(autouse=True)
def kernels_serve() -> None:
    assert gpu_kernels(torch.zeros(1, device="cuda")) is not None


@pytest.fixture
def no_waiting() -> Iterator[None]:
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def tables(items: int, batch: int = BATCH, count: int = COUNT) -> list[Tensor]:
    g = torch.Generator("cuda").manual_seed(items)
    users, table = (
        normalize(torch.randn(n, DIM, generator=g, device="cuda"), dim=1) for n in (batch, items)
    )
    positive = torch.randint(items, (batch,), generator=g, device="cuda")
    negative = torch.randint(items, (batch, count), generator=g, device="cuda")
    return [(users / 2).requires_grad_(), table.requires_grad_(), positive, negative]


def step(loss, users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> list[Tensor]:
    if negative.shape[1]:
        value = sampled_loss(users, items, positive, negative, loss)
    else:
        value = catalogue_loss(users, items, positive, loss)
    return [value.detach(), *torch.autograd.grad(value, (users, items))]


def close(got: list[Tensor], expected: list[Tensor], tolerance: float) -> bool:
    return all(
        float((a.double() - b).abs().max() / b.abs().max()) < tolerance
        for a, b in zip(got, expected, strict=True)
    )


@pytest.mark.parametrize("items", [DENSE, SPARSE])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tau", [0.005, 0.1])
def test_the_papers_sizes_against_float64(items: int, activation: str, tau: float) -> None:
    users, table, positive, negative = tables(items)
    loss = PairwiseSoftmaxLoss(tau, activation)
    wide = [x.detach().double().requires_grad_() for x in (users, table)]
    expected = step(loss, *wide, positive, negative)  # the plain path: not float32
    assert close(step(loss, users, table, positive, negative), expected, 5e-7 / tau)


def test_tf32_does_not_reach_the_scores() -> None:
    inputs, loss = tables(DENSE), PairwiseSoftmaxLoss(0.02)
    exact = step(loss, *inputs)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        fast = step(loss, *inputs)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert all(torch.equal(a, b) for a, b in zip(exact, fast, strict=True))


@pytest.mark.parametrize("items", [DENSE, SPARSE])
def test_the_same_bits_twice(items: int) -> None:
    inputs, loss = tables(items), PairwiseSoftmaxLoss(0.1)
    first, second = step(loss, *inputs), step(loss, *inputs)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def small(**changes: Any) -> RunConfig:
    usual = {"epochs": 4, "negatives": 16, "dim": 8, "validate_every": 1, "lr": 0.05}
    return RunConfig(**{**usual, **changes})


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", LOSSES)
def test_a_whole_training_step_does_not_wait_for_the_device(
    backbone: str, name: str, request: pytest.FixtureRequest
) -> None:
    fit, place = load("synthetic").train, torch.device(DEVICE)
    state, sampler = (
        TrainState.create(small(backbone=backbone, loss=name), fit, place),
        UniformNegatives(fit, place),
    )
    users, items = (torch.from_numpy(x[:64]).to(place) for x in (fit.users, fit.items))

    def train_step(key: int) -> None:
        batch = Batch(users, items, sampler.sample(users, 16, key))
        recorded_step(
            state, batch, "both" if isinstance(state.loss, StatefulLoss) else "model", key
        )

    for key in (1, 2, 3):  # compile, make room, and are recorded
        train_step(key)
    request.getfixturevalue("no_waiting")
    train_step(4)
    state.use_graphs = False
    train_step(5)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", LOSSES)
def test_a_replayed_step_gives_the_bits_of_any_other(backbone: str, name: str) -> None:
    """Of other batches, of one that is shorter, and of other noise."""
    fit, place = load("synthetic").train, torch.device(DEVICE)
    one, other = (
        TrainState.create(small(backbone=backbone, loss=name), fit, place) for _ in range(2)
    )
    assert one.use_graphs
    other.use_graphs, sampler = False, UniformNegatives(fit, place)
    turns: tuple[str, ...] = ("model",)
    if isinstance(one.loss, StatefulLoss):
        turns = tuple(
            sorted({turn for epoch in range(1, 6) for turn in one.loss.update_schedule(epoch)})
        )
    for key, count in enumerate([64, 64, 64, 64, 30, 64]):
        users, items = (
            torch.from_numpy(x[100 * key :][:count]).to(place) for x in (fit.users, fit.items)
        )
        batch = Batch(users, items, sampler.sample(users, 16, key))
        for turn in turns:
            values = []
            for state in (one, other):
                state.loss.requires_grad_(turn != "model")
                values.append(float(recorded_step(state, batch, turn, key)))
            assert values[0] == values[1], (key, turn)
    assert all(one.graph_steps[turn].graph is not None for turn in turns)
    for part in ("model", "loss"):
        pairs = zip(*(getattr(x, part).parameters() for x in (one, other)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs), part


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"negatives": 0},
        *({"loss": x} for x in ("bpr", "bsl", "llpauc", "advinfonce")),
        {"loss": "sl@20", "refresh": 2},  # it looks at the model before the third epoch
        {"backbone": "lightgcn"},
        {"backbone": "xsimgcl"},
    ],
    ids=str,
)
def test_a_run_repeats_and_a_stopped_one_ends_alike(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    config, data = small(**changes), load("synthetic")

    def stop(p: Progress) -> None:
        if (p.epoch, p.step) == (3, 1):
            raise KeyboardInterrupt

    whole = train(config, data, device=DEVICE)
    again = train(config, data, device=DEVICE)
    kept = tmp_path / "state.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(config, data, device=DEVICE, checkpoint=kept, progress=stop)
    resumed = train(config, data, device=DEVICE, checkpoint=kept)
    for other in (again, resumed):
        assert other.record["metrics"] == whole.record["metrics"]
        pairs = zip(other.model.parameters(), whole.model.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_gpu_ranks_as_a_cpu_does(backbone: str) -> None:
    data = load("synthetic")
    model = TrainState.create(small(backbone=backbone), data.train, torch.device("cpu")).model
    here = evaluate(model.inference_embeddings(), data.test, data.train, device="cpu")
    there = evaluate(model.to(DEVICE).inference_embeddings(), data.test, data.train, device=DEVICE)
    assert here == pytest.approx(there, abs=1e-3), "ties may fall otherwise"


@pytest.mark.parametrize("items", [DENSE, SPARSE])
@pytest.mark.parametrize("name", ["psl-relu", "sl", "bpr"])
def test_a_step_does_not_wait_for_the_device(
    items: int, name: str, request: pytest.FixtureRequest
) -> None:
    users, table, positive, negative = tables(items)
    loss = get_loss(name).build(0.1)

    def back_and_forth() -> None:
        users.grad = table.grad = None
        sampled_loss(users, table, positive, negative, loss).backward()

    back_and_forth()  # compiles, and makes room
    request.getfixturevalue("no_waiting")
    back_and_forth()


def test_drawing_does_not_wait_for_the_device(request: pytest.FixtureRequest) -> None:
    data = Interactions.from_pairs(np.arange(9), np.arange(9), 9, 30)
    sampler, users = UniformNegatives(data, "cuda"), torch.arange(9, device="cuda")
    sampler.sample(users, 100, 1)
    request.getfixturevalue("no_waiting")
    sampler.sample(users, 100, 2)


def beyond(inputs: list[Tensor], take) -> int:
    """Return the bytes that ``take`` holds at most, beyond its inputs."""
    take()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    take()
    return torch.cuda.max_memory_allocated() - before


def test_memory_of_the_sampled_path() -> None:
    """Some bytes a pair, far from the d floats of a gather."""
    inputs = tables(SPARSE)
    most = 100 * BATCH * (COUNT + 1) + 3 * 4 * DIM * SPARSE
    assert most < 4 * DIM * BATCH * COUNT
    assert beyond(inputs, lambda: step(PairwiseSoftmaxLoss(0.1), *inputs)) < most


def test_memory_of_the_catalogue_path() -> None:
    """512 MiB of scores and three gradients of the table, where all scores are 1.5 GiB."""
    users, items, positive, _ = inputs = tables(200_000, batch=2048, count=1)
    loss = PairwiseSoftmaxLoss(0.1)

    def take() -> None:
        torch.autograd.grad(catalogue_loss(users, items, positive, loss), (users, items))

    assert beyond(inputs, take) < (512 << 20) + 3 * 4 * DIM * len(items) + (64 << 20)


@pytest.mark.parametrize("items", [300, 100_000])
def test_draws_are_those_of_torch_and_of_a_cpu(items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    data = Interactions.from_pairs(
        rng.integers(0, 500, 20_000), rng.integers(0, items - 1, 20_000), 500, items
    )
    users = torch.from_numpy(rng.integers(0, 500, BATCH))
    key = stream_key(7, "negatives", 3, 2)
    drawn = UniformNegatives(data, "cuda").sample(users.cuda(), COUNT, key)
    assert drawn.is_cuda and drawn.dtype == torch.int64
    monkeypatch.setenv("PSL_KERNELS", "off")
    assert torch.equal(drawn, UniformNegatives(data, "cuda").sample(users.cuda(), COUNT, key))
    assert torch.equal(drawn.cpu(), UniformNegatives(data).sample(users, COUNT, key))
