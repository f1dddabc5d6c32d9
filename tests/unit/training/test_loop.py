"""The epochs: a seed decides every bit, each epoch draws anew, and it learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from psl import streams
from psl.errors import TrainingError
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.losses import LOSSES, AdvInfoNCELoss, SLatKLoss
from psl.models.backbones import BACKBONES
from psl.streams import numpy_stream
from psl.training.loop import positives_and_sampler
from psl.training.state import TrainState
from psl.training.step import training_step
from small_runs import SMALL, data, run, same


@pytest.mark.parametrize("loss", ["bpr", "psl-relu"])
def test_a_seed_decides_every_bit(loss: str) -> None:
    config = dataclasses.replace(SMALL, loss=loss)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  # the global generators must not matter
    one = run(config)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert same(one, run(config))
    other = run(dataclasses.replace(config, seed=1))
    assert other.record["metrics"] != one.record["metrics"]


def test_every_epoch_draws_and_orders_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def spy(u: Any, v: Any, positive: Any, negative: Any, loss: Any) -> torch.Tensor:
        seen.append((positive, negative))
        return (u.sum() + v.sum()) * 0

    monkeypatch.setattr("psl.training.step.sampled_loss", spy)
    run(dataclasses.replace(SMALL, epochs=3))
    steps = len(seen) // 3
    for k in range(2):
        for one, two in zip(seen[0], seen[(k + 1) * steps], strict=True):
            # A few places agree by chance; drawn from one stream nearly all would.
            assert float((one == two).double().mean()) < 0.1
    # Each epoch visits the same pairs, each once.
    visits = [torch.cat([p for p, _ in seen[e * steps : (e + 1) * steps]]) for e in range(3)]
    assert all(torch.equal(visits[0].sort().values, v.sort().values) for v in visits)


def test_a_loss_that_is_not_finite_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(u: torch.Tensor, v: torch.Tensor, *_: Any) -> torch.Tensor:
        return (u.sum() + v.sum()) * float("nan")

    monkeypatch.setattr("psl.training.step.sampled_loss", broken)
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 1 .*lower lr"):
        run(checkpoint=tmp_path / "run.safetensors")
    assert not list(tmp_path.iterdir())


EVERYTHING = [*({"loss": name} for name in LOSSES), *({"backbone": name} for name in BACKBONES)]


@pytest.mark.parametrize("changes", EVERYTHING)
@pytest.mark.parametrize("far", [{"lr": 1e20}, {"weight_decay": 1e30}])
def test_a_run_that_diverges_has_no_result(far: dict[str, float], changes: dict[str, Any]) -> None:
    """Lengths that overflow are embeddings of 0, and moments that do are steps of 0."""
    with pytest.raises(TrainingError, match=r"(finite|nan|inf) in epoch \d"):
        run(dataclasses.replace(SMALL, epochs=2, **far, **changes))


@pytest.mark.parametrize("side", ["user", "item"])
def test_tied_scores_are_no_result(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def collapse(state: TrainState, *what: Any) -> torch.Tensor:
        loss = training_step(state.model, state.loss, state.optimizer, *what)
        with torch.no_grad():
            state.model.get_parameter(side).fill_(0.0 if side == "user" else 0.5)
        return loss

    monkeypatch.setattr("psl.training.step.recorded_step", collapse)
    with pytest.raises(TrainingError, match=r"all scores of a user are tied.* in epoch 1 .*lower"):
        run(dataclasses.replace(SMALL, loss="bpr"))


def test_it_learns_and_the_test_split_matters() -> None:
    config = dataclasses.replace(SMALL, epochs=15, negatives=64, dim=8, lr=0.02)
    trained = run(config)
    untrained = run(dataclasses.replace(config, lr=1e-12))
    ndcg = trained.record["metrics"]["ndcg@20"]
    assert ndcg > 2 * untrained.record["metrics"]["ndcg@20"]
    # The same model against test items dealt out to other users: the skill is gone, what stays is
    # popularity.
    test = data().test
    rng = np.random.default_rng(0)
    dealt = Interactions.from_pairs(
        test.users, rng.permutation(test.items), test.num_users, test.num_items
    )
    fit, _ = holdout(data().train, 0.1, numpy_stream(0, "validation"))
    shuffled = evaluate(trained.model.embed, dealt, fit)["ndcg@20"]  # type: ignore[operator]
    assert shuffled < 0.7 * ndcg


def test_weight_decay_shrinks() -> None:
    norms = [
        float(
            run(dataclasses.replace(SMALL, loss="bpr", weight_decay=w)).model.item.detach().norm()
        )  # type: ignore[operator]
        for w in (0.0, 0.1)
    ]
    assert norms[1] < norms[0]


def test_the_whole_catalogue_in_place_of_a_sample() -> None:
    """``negatives=0`` is (4.1) over every item; a large sample comes close to it."""
    every = run(dataclasses.replace(SMALL, negatives=0)).record
    many = run(dataclasses.replace(SMALL, negatives=4000)).record
    assert every["metrics"]["ndcg@20"] == pytest.approx(many["metrics"]["ndcg@20"], rel=0.15)
    assert every["run_id"] != many["run_id"]


@pytest.mark.parametrize(
    "changes", [{"loss": "llpauc"}, {"loss": "bsl"}, {"setting": "noise", "noise_ratio": 0.1}]
)
def test_who_needs_a_sample_says_so(changes: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="needs sampled negatives"):
        run(dataclasses.replace(SMALL, negatives=0, **changes))


def test_the_adversary_moves_in_its_epochs_only() -> None:
    """As released, the model stands still in every fifth epoch."""
    config = dataclasses.replace(SMALL, loss="advinfonce", as_released=True, epochs=5)
    five, four = run(config), run(dataclasses.replace(config, epochs=4))
    assert torch.equal(five.model.item, four.model.item)
    plain = dataclasses.replace(config, as_released=False)
    five, four = run(plain), run(dataclasses.replace(plain, epochs=4))
    scores = [p["ndcg@20"] for p in five.record["validation_curve"]]
    assert scores[:4] == [p["ndcg@20"] for p in four.record["validation_curve"]]


def test_every_stream_is_of_the_seed_and_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data()
    asked: list[tuple[Any, ...]] = []
    whole = streams.stream_key

    def spy(root: int, *name: Any) -> int:
        asked.append((root, *name))
        return whole(root, *name)

    for module in ("streams", "training.step", "negatives"):
        monkeypatch.setattr(f"psl.{module}.stream_key", spy)
    noisy = {"setting": "noise", "noise_ratio": 0.1, "backbone": "xsimgcl"}
    run(dataclasses.replace(SMALL, seed=5, loss="advinfonce", **noisy))
    drawn = [name for root, *name in asked if root == 5]
    assert len({tuple(name) for name in drawn}) == len(drawn)
    parts = {"validation", "init", "order", "negatives", "player", "false negatives", "backbone"}
    assert {name for name, *_ in drawn} == parts
    # The negatives' own key is the root of the coin and of which false negative.
    assert {name for root, name, *_ in asked if root != 5} == {"coin", "which"}
    # Steps and epochs count from 1, and the third has a second pass: so every record was drawn.
    first = (["order", 1], ["negatives", 1, 1], ["backbone", 1, 1], ["negatives", 3, 1, 1])
    assert all(name in drawn for name in first)
    assert ["order", 0] not in drawn and ["negatives", 1, 0] not in drawn


def test_the_loss_of_an_epoch_is_the_mean_over_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psl.training.step.recorded_step", lambda *_: torch.tensor(1.0))
    config = dataclasses.replace(SMALL, epochs=1, batch_size=700)  # the last batch is shorter
    (point,) = run(config).record["validation_curve"]
    assert point["loss"] == 1


def test_a_graph_is_of_the_pairs_that_are_trained_on() -> None:
    noisy = {"setting": "noise", "noise_ratio": 0.1, "drop_marked": True}
    config = dataclasses.replace(SMALL, backbone="lightgcn", **noisy)
    pairs, _ = positives_and_sampler(config, data().train, torch.device("cpu"))
    state = TrainState.create(config, pairs, torch.device("cpu"))
    edges = state.model.graph.to_users.values().numel()
    assert edges == len(pairs) < len(data().train)


def test_a_player_looks_before_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(SLatKLoss, "on_epoch_start", lambda self, epoch, encode: seen.append(epoch))
    run(dataclasses.replace(SMALL, loss="sl@20"))
    assert seen == [1, 2, 3, 4]


def test_a_state_takes_its_settings_from_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        AdvInfoNCELoss, "setup", lambda self, training: given.update(vars(training))
    )
    changes = {"loss": "advinfonce", "init_std": 0.5, "lr": 0.03, "weight_decay": 0.2}
    config = dataclasses.replace(SMALL, **changes)
    state = TrainState.create(config, data().train, torch.device("cpu"))
    assert float(state.model.item.detach().std()) == pytest.approx(0.5, rel=0.1)
    assert (given["lr"], given["weight_decay"]) == (0.03, 0.2)


@pytest.mark.parametrize("backbone", ["mf", "lightgcn"])
def test_llpauc_as_released_begins_with_its_own_spread(backbone: str) -> None:
    config = dataclasses.replace(SMALL, loss="llpauc", backbone=backbone, init_std=0.5)
    for released, spread in ((False, 0.5), (True, 0.01)):
        config = dataclasses.replace(config, as_released=released)
        state = TrainState.create(config, data().train, torch.device("cpu"))
        assert float(state.model.item.detach().std()) == pytest.approx(spread, rel=0.1)


def test_bpr_draws_one_negative_whatever_is_asked_for() -> None:
    bpr = dataclasses.replace(SMALL, loss="bpr", epochs=1)
    none, one = (run(dataclasses.replace(bpr, negatives=n)).record["metrics"] for n in (0, 1))
    assert none == one
