"""Sparse Adam against autograd and loops in float64, and against torch's own."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import embedding

from companion.threads import torch_threads
from psl.errors import TrainingError
from psl.losses import LOSSES, Batch, BPRLoss, SimCELoss, get_loss
from psl.models.backbones import BACKBONES
from psl.models.matrix_factorization import MatrixFactorization
from psl.training.adam import SparseAdam
from psl.training.step import training_step
from small_runs import SMALL, Stop, run, same, stop_in

pytest.importorskip("numba", reason="numba is missing")

USERS, ITEMS, DIM = 12, 17, 8
EPS = 1e-3  # with the usual one a gradient that cancels moves as far as any, by its last digits


def model(dtype: torch.dtype = torch.float32) -> MatrixFactorization:
    g = torch.Generator().manual_seed(0)
    made = MatrixFactorization(USERS, ITEMS, DIM, score="inner", init_std=0.3, generator=g)
    return made.to(dtype)


def batches(count: int, steps: int = 6) -> list[Batch]:
    """Return batches in which users and items stand several times, and some not at all."""
    g = torch.Generator().manual_seed(1)
    return [
        Batch(
            torch.randint(USERS - 3, (9,), generator=g),
            torch.randint(ITEMS - 5, (9,), generator=g),
            torch.randint(ITEMS - 2, (9, count), generator=g),
        )
        for _ in range(steps)
    ]


class Own(BPRLoss):
    """BPR with a forward of its own: the kernel's derivative is not this one's."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        return 3 * super().forward(positive, negative)


CASES = {
    "bpr": BPRLoss(reduction="none"),
    "another bpr": Own(reduction="none"),
    "simce": SimCELoss(reduction="none"),
}


def loop(loss: Any, count: int, decay: float, lr: float = 0.05) -> list[Tensor]:
    """Adam on each row when it has its turn, in float64, from gradients of the whole tables."""
    mine = model(torch.float64)
    mean, square = ({n: torch.zeros_like(p) for n, p in mine.named_parameters()} for _ in "mv")
    for step, batch in enumerate(batches(count), start=1):
        u, v, _ = mine(batch.users, batch.positive, 0)
        scores = u @ v.T
        loss(
            scores.gather(1, batch.positive[:, None])[:, 0], scores.gather(1, batch.negative)
        ).mean().backward()
        stand = {"user": batch.users, "item": torch.cat([batch.positive, batch.negative.flatten()])}
        with torch.no_grad():
            for name, table in mine.named_parameters():
                for row in set(stand[name].tolist()):
                    g = table.grad[row] + decay * table[row]
                    m, s = mean[name][row], square[name][row]
                    m.copy_(0.9 * m + 0.1 * g)
                    s.copy_(0.999 * s + 0.001 * g * g)
                    rate = lr * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                    table[row] -= rate * m / (s.sqrt() + EPS)
                table.grad = None
    return [mine.user.detach(), mine.item.detach(), *mean.values(), *square.values()]


def ours(loss: Any, count: int, decay: float, lr: float = 0.05) -> list[Tensor]:
    mine = model()
    adam = SparseAdam(mine, lr, decay)
    adam.param_groups[0]["eps"] = EPS
    for batch in batches(count):
        training_step(mine, loss, adam, batch, "model", 0)
    states = [adam.state[x] for x in (mine.user, mine.item)]
    moments = (s[k] for k in ("exp_avg", "exp_avg_sq") for s in states)
    return [mine.user.detach(), mine.item.detach(), *moments]


@pytest.mark.parametrize("decay", [0.0, 0.02])
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("name", CASES)
def test_against_a_loop_over_rows(name: str, count: int, decay: float) -> None:
    got, expected = ours(CASES[name], count, decay), loop(CASES[name], count, decay)
    for one, two in zip(got, expected, strict=True):
        assert torch.allclose(one.double(), two, rtol=1e-4, atol=2e-6)


def test_against_torchs_own() -> None:
    mine = model(torch.float64)
    theirs = torch.optim.SparseAdam(mine.parameters(), lr=0.05, eps=EPS)
    for batch in batches(2):
        u = embedding(batch.users, mine.user, sparse=True)
        ids = torch.cat([batch.positive[:, None], batch.negative], 1)
        scores = (u.unsqueeze(1) * embedding(ids, mine.item, sparse=True)).sum(2)
        BPRLoss()(scores[:, 0], scores[:, 1:]).backward()
        theirs.step()
        theirs.zero_grad()
    user, item, *_ = ours(CASES["bpr"], 2, 0.0)
    assert torch.allclose(user.double(), mine.user, rtol=1e-4, atol=2e-6)
    assert torch.allclose(item.double(), mine.item, rtol=1e-4, atol=2e-6)


def test_the_mean_loss_is_that_of_the_scores() -> None:
    (batch,) = batches(3, 1)
    for loss in CASES.values():
        mine = model()
        u, v = (x.detach() for x in mine.embed(batch.users))
        scores = u @ v.T
        mean = loss(
            scores.gather(1, batch.positive[:, None])[:, 0], scores.gather(1, batch.negative)
        ).mean()
        got = training_step(mine, loss, SparseAdam(mine, 0.1, 0.0), batch, "model", 0)
        assert float(got) == pytest.approx(float(mean), rel=1e-5)


def test_what_does_not_stand_in_a_batch_does_not_move() -> None:
    before, (user, item, *moments) = model(), ours(CASES["bpr"], 4, 0.1)
    assert torch.equal(user[-3:], before.user[-3:]) and torch.equal(item[-2:], before.item[-2:])
    assert not any(x[-2:].any() for x in moments)
    assert (user[:-3] != before.user[:-3]).all()


SPARSE = dataclasses.replace(SMALL, loss="bpr", optimizer="sparse-adam")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_each_loss_on_each_backbone_trains_or_says_why_not(loss: str, backbone: str) -> None:
    config = dataclasses.replace(SPARSE, loss=loss, backbone=backbone, epochs=2)
    reason = "scores that are inner products, not cosines" * (get_loss(loss).score == "cosine")
    reason = reason if backbone == "mf" else "the backbone mf: a step of .* moves every row"
    if reason:
        with pytest.raises(TrainingError, match=rf"^sparse-adam is for {reason}$"):
            run(config)
        return
    record = run(config).record
    dense = run(dataclasses.replace(config, optimizer="adam")).record
    assert record["config"]["optimizer"] == "sparse-adam" and "optimizer" not in dense["config"]
    # Of so small a catalogue a batch has nearly every row.
    assert record["metrics"]["ndcg@20"] == pytest.approx(dense["metrics"]["ndcg@20"], rel=0.5)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_whole_catalogue_is_not_sparse(loss: str) -> None:
    if get_loss(loss).negatives is None:  # where it is the loss's own number that is drawn
        with pytest.raises(TrainingError, match=r"^(sparse-adam is for|\S+ \(iid\) needs sampled)"):
            run(dataclasses.replace(SPARSE, loss=loss, negatives=0))


def test_without_the_kernels_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PSL_KERNELS", "off")
    with pytest.raises(TrainingError, match=r"^sparse-adam is a kernel of the CPU: [^\n]*$"):
        run(SPARSE)


@pytest.mark.parametrize("loss", ["bpr", "lambdaloss"])
def test_one_thread_and_two_have_the_same_bits(loss: str) -> None:
    results = []
    for threads in (1, 2):
        with torch_threads(threads):
            results.append(run(dataclasses.replace(SPARSE, loss=loss, epochs=2, dim=64)))
    one, two = results
    assert one.record["metrics"] == two.record["metrics"]
    a, b = (x.model.state_dict() for x in results)
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("loss", ["bpr", "gbce"])
def test_a_stopped_run_ends_like_one_that_was_not(loss: str, tmp_path: Path) -> None:
    config, checkpoint = dataclasses.replace(SPARSE, loss=loss), tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        run(config, checkpoint=checkpoint, progress=stop_in(3))
    assert same(run(config, checkpoint=checkpoint), run(config))
