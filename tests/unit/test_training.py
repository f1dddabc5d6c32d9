"""Training: the same seed the same bits, stopped or not; and it learns."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from psl import records
from psl.backbones import MatrixFactorization
from psl.datasets import Dataset, load
from psl.errors import TrainingError, UnknownNameError
from psl.evaluation import evaluate
from psl.interactions import Interactions, holdout
from psl.negatives import NoisyNegatives, membership
from psl.streams import numpy_stream
from psl.training import PROTOCOLS, Progress, Result, RunConfig, train
from psl.training.config import OPTIONS
from psl.training.device import check_device, find_device, peak_memory
from psl.training.state import State

SMALL = RunConfig(epochs=4, negatives=16, dim=8, validate_every=1, lr=0.05)


@cache
def data() -> Dataset:
    return load("synthetic")


def run(config: RunConfig = SMALL, **options: Any) -> Result:
    stored = dataclasses.replace(data(), setting="ood" if config.setting == "ood" else "iid")
    return train(config, stored, device="cpu", **options)


def essence(result: Result) -> dict[str, Any]:
    """Return what a run must reproduce: everything but clock, memory and date."""
    return {
        k: v
        for k, v in result.record.items()
        if k not in ("seconds", "peak_memory_bytes", "created")
    }


def same(one: Result, two: Result) -> bool:
    a, b = one.model.state_dict(), two.model.state_dict()
    return essence(one) == essence(two) and all(torch.equal(a[k], b[k]) for k in a)


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


class Stop(Exception):
    """Stands for Ctrl-C or a kill."""


@pytest.mark.parametrize("where", [(2, 3), (3, 0), (4, 1)])
def test_a_stopped_run_ends_like_one_that_was_not(tmp_path: Path, where: tuple[int, int]) -> None:
    def stop(p: Progress) -> None:
        if (p.epoch, p.step) == where:
            raise Stop

    checkpoint = tmp_path / "run.safetensors"
    config = dataclasses.replace(SMALL, weight_decay=1e-4)
    with pytest.raises(Stop):
        run(config, checkpoint=checkpoint, progress=stop)
    assert checkpoint.exists()
    epochs = []
    resumed = run(config, checkpoint=checkpoint, progress=lambda p: epochs.append(p.epoch))
    assert epochs[0] == where[0], "finished epochs are not trained again"
    assert same(resumed, run(config))


@pytest.mark.parametrize("epochs", [None, 6])
def test_a_run_that_had_enough_does_not_go_on(tmp_path: Path, epochs: int | None) -> None:
    """Stopped between its last epoch and its record: resumed, it trains no epoch more."""
    config = dataclasses.replace(SMALL, epochs=epochs or 40, patience=0 if epochs else 1)
    checkpoint = tmp_path / "run.safetensors"
    whole = run(config, checkpoint=checkpoint)
    assert epochs or whole.record["validation_curve"][-1]["epoch"] < 40, "this one stops early"
    seen: list[int] = []
    resumed = run(config, checkpoint=checkpoint, progress=lambda p: seen.append(p.epoch))
    assert not seen and same(resumed, whole)


def test_another_code_is_named_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(p: Progress) -> None:
        if p.epoch == 3:
            raise Stop

    for digest in ("before", "after"):
        monkeypatch.setattr(records, "code_digest", lambda made=digest: made)
        checkpoint = tmp_path / "run.safetensors"
        if digest == "before":
            with pytest.raises(Stop):
                run(checkpoint=checkpoint, progress=stop)
    record = run(checkpoint=checkpoint).record
    assert record["code_digest"] == "after" and record["continued_from"] == "before"
    assert "continued_from" not in run().record


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a checkpoint says of its run."""
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["run"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    change(about)
    save_file(tensors, path, metadata={"run": json.dumps(about)})


def test_another_device_is_named_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "run.safetensors"
    places = ("one thread", "two threads", "two threads")
    for epoch, place in enumerate(places, start=2):

        def stop(p: Progress, at: int = epoch) -> None:
            if p.epoch == at:
                raise Stop

        for module in ("checkpoint", "loop"):
            monkeypatch.setattr(f"psl.training.{module}.describe", lambda _, said=place: said)
        if epoch < 4:
            with pytest.raises(Stop):
                run(checkpoint=checkpoint, progress=stop)
    record = run(checkpoint=checkpoint).record
    assert record["device"] == "two threads"
    assert record["continued_from_device"] == "one thread", "also after a second stop"
    assert "continued_from" not in record and "continued_from_device" not in run().record


def test_checkpoints_of_the_first_versions_load(tmp_path: Path) -> None:
    def older(about: dict[str, Any]) -> None:
        for key in ("device", "continued"):
            del about[key]

    checkpoint = tmp_path / "run.safetensors"
    whole = run(checkpoint=checkpoint)
    rewrite(checkpoint, older)
    assert same(run(checkpoint=checkpoint), whole)


@pytest.mark.parametrize("key", ["config", "fingerprint", "epoch", "best_score", "curve"])
def test_a_checkpoint_that_lacks_a_key(tmp_path: Path, key: str) -> None:
    checkpoint = tmp_path / "run.safetensors"
    run(dataclasses.replace(SMALL, epochs=1), checkpoint=checkpoint)
    rewrite(checkpoint, lambda about: about.pop(key))
    with pytest.raises(TrainingError, match=rf"not a readable checkpoint; delete it .no '{key}'"):
        run(dataclasses.replace(SMALL, epochs=1), checkpoint=checkpoint)


def test_memory_that_the_system_does_not_tell_is_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (peak_memory(torch.device("cpu")) or 0) > 10 * 2**20
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert run(dataclasses.replace(SMALL, epochs=1)).record["peak_memory_bytes"] is None


@pytest.mark.parametrize("name", ["", "abacus", "mps", "meta", "cuda:one", "cuda:", "auto:1"])
def test_a_name_that_is_no_device_is_refused_alike_early_and_late(name: str) -> None:
    for refuse in (check_device, find_device):
        with pytest.raises(UnknownNameError, match=rf"unknown device '{name}'.*auto, cpu, cuda"):
            refuse(name)


def test_a_device_that_is_not_here_is_told_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:7"):
        check_device(name)  # a worker elsewhere may have it
        with pytest.raises(TrainingError, match="no CUDA device is available"):
            find_device(name)
    assert find_device("auto") == find_device("cpu") == torch.device("cpu")


def test_data_of_another_name_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"names amazon-health .iid., the data is synthetic"):
        train(dataclasses.replace(SMALL, dataset="amazon-health"), data(), device="cpu")
    with pytest.raises(TrainingError, match=r"names synthetic .ood., the data is synthetic .iid."):
        train(dataclasses.replace(SMALL, setting="ood"), data(), device="cpu")


def test_one_number_is_one_run() -> None:
    typed = RunConfig(weight_decay=0, seed=np.int64(3), tau=np.float32(0.25), epochs=5.0)  # type: ignore[arg-type]
    plain = RunConfig(weight_decay=0.0, seed=3, tau=0.25, epochs=5)
    assert typed == plain and typed.run_id == plain.run_id


def test_checkpoints_of_others_are_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.safetensors"
    run(checkpoint=checkpoint)
    kept = checkpoint.read_bytes()
    with pytest.raises(TrainingError, match="another configuration"):
        run(dataclasses.replace(SMALL, seed=3), checkpoint=checkpoint)
    moved = dataclasses.replace(data(), train=data().train.union(data().test))
    with pytest.raises(TrainingError, match="another configuration or dataset"):
        train(SMALL, moved, device="cpu", checkpoint=checkpoint)
    assert checkpoint.read_bytes() == kept
    for content in (b"", b"junk" * 9, kept[: len(kept) // 2]):
        checkpoint.write_bytes(content)
        with pytest.raises(TrainingError, match="not a readable checkpoint; delete it"):
            run(checkpoint=checkpoint)


def test_a_loss_that_is_not_finite_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(u: torch.Tensor, v: torch.Tensor, *_: Any) -> torch.Tensor:
        return (u.sum() + v.sum()) * float("nan")

    monkeypatch.setattr("psl.training.state.sampled_loss", broken)
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 1 .*lower lr"):
        run(checkpoint=tmp_path / "run.safetensors")
    assert not list(tmp_path.iterdir())


def test_validation_comes_out_of_train_and_protocols_mask_as_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, str]] = []

    def spy(embed: Any, target: Interactions, masked: Interactions, **options: Any) -> Any:
        calls.append((target.fingerprint(), masked.fingerprint()))
        return evaluate(embed, target, masked, **options)

    monkeypatch.setattr("psl.training.loop.evaluate", spy)
    fit, valid = holdout(data().train, 0.1, numpy_stream(SMALL.seed, "validation"))
    final = {}
    for protocol in PROTOCOLS:
        calls.clear()
        final[protocol] = run(dataclasses.replace(SMALL, protocol=protocol)).record["metrics"]
        assert set(calls[:-1]) == {(valid.fingerprint(), fit.fingerprint())}
        masked = fit if protocol == "released" else data().train
        assert calls[-1] == (data().test.fingerprint(), masked.fingerprint())
    # Masking the validation positives takes wrong answers away.
    assert final["clean"]["ndcg@20"] > final["released"]["ndcg@20"]


@pytest.mark.parametrize(
    ("scores", "best", "last"),
    [
        ([0.1, 0.3, 0.2, 0.2, 0.2, 0.9], 2, 5),  # three validations without a new best: stop
        ([0.1, 0.3, 0.3, 0.2, 0.2, 0.2], 3, 6),  # a later tie wins
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6, 6),
    ],
)
def test_the_best_epoch_is_kept_and_patience_stops(
    scores: list[float], best: int, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    items: list[torch.Tensor] = []

    def scripted(embed: Any, *_: Any, **__: Any) -> dict[str, float]:
        items.append(embed(torch.tensor([0]))[1].detach().clone())
        return {"ndcg@20": scores[len(items) - 1] if len(items) <= last else 0.0}

    monkeypatch.setattr("psl.training.loop.evaluate", scripted)
    result = run(dataclasses.replace(SMALL, epochs=6, patience=3))
    assert result.record["best_epoch"] == best
    assert result.record["validation_curve"][-1]["epoch"] == last
    # The last call tests the model of the best epoch, not the last one.
    assert torch.equal(items[-1], items[best - 1])
    assert best == last or not torch.equal(items[-1], items[last - 1])


def test_validate_every_validates_the_last_epoch_too() -> None:
    curve = run(dataclasses.replace(SMALL, epochs=5, validate_every=2)).record["validation_curve"]
    assert [p["epoch"] for p in curve] == [2, 4, 5]


def test_it_learns_and_the_test_split_matters() -> None:
    config = dataclasses.replace(SMALL, epochs=15, negatives=64, dim=16, lr=0.02)
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


def test_every_epoch_draws_and_orders_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def spy(u: Any, v: Any, positive: Any, negative: Any, loss: Any) -> torch.Tensor:
        seen.append((positive, negative))
        return (u.sum() + v.sum()) * 0

    monkeypatch.setattr("psl.training.state.sampled_loss", spy)
    run(dataclasses.replace(SMALL, epochs=3))
    steps = len(seen) // 3
    for k in range(2):
        for one, two in zip(seen[0], seen[(k + 1) * steps], strict=True):
            # A few places agree by chance; drawn from one stream nearly all would.
            assert float((one == two).double().mean()) < 0.1
    # Each epoch visits the same pairs, each once.
    visits = [torch.cat([p for p, _ in seen[e * steps : (e + 1) * steps]]) for e in range(3)]
    assert all(torch.equal(visits[0].sort().values, v.sort().values) for v in visits)


def test_weight_decay_shrinks() -> None:
    norms = [
        float(
            run(dataclasses.replace(SMALL, loss="bpr", weight_decay=w)).model.item.detach().norm()
        )  # type: ignore[operator]
        for w in (0.0, 0.1)
    ]
    assert norms[1] < norms[0]


@pytest.mark.parametrize("score", ["cosine", "inner"])
def test_scores_of_the_backbone(score: str) -> None:
    model = MatrixFactorization(
        40, 50, 6, score=score, init_std=0.3, generator=torch.Generator().manual_seed(0)
    )
    users = torch.tensor([3, 3, 7])
    u, v = model.embed(users)
    raw_u, raw_v = model.user[users].detach(), model.item.detach()
    expected = raw_u @ raw_v.T
    if score == "cosine":
        expected = expected / raw_u.norm(dim=1)[:, None] / raw_v.norm(dim=1)[None] / 2
    assert torch.allclose(u @ v.T, expected, atol=1e-6)
    assert float(torch.cat([model.user, model.item]).detach().std()) == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tau": 0.0}, "tau must be positive"),
        ({"lr": float("nan")}, "lr must be positive"),
        ({"init_std": float("inf")}, "init_std must be positive"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"negatives": -1}, "negatives must be at least 0"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"lr": "0.1"}, "lr must be a number"),
        ({"weight_decay": float("nan")}, "weight_decay must be finite"),
        ({"dim": -1}, "dim must be at least 1"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"protocol": "mine"}, "protocol must be one of"),
    ],
)
def test_configurations_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        RunConfig(**changes)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'psl-tanh'"):
        RunConfig(loss="psl-tan")
    with pytest.raises(UnknownNameError, match="unknown backbone 'mlp'"):
        RunConfig(backbone="mlp")


OTHER: dict[str, dict[str, Any]] = {
    "setting": {"setting": "ood"},
    "backbone": {"backbone": "lightgcn"},
    "loss": {"loss": "sl"},
    "protocol": {"protocol": "clean"},
    "noise_ratio": {"setting": "noise", "noise_ratio": 0.1},
    "drop_marked": {"setting": "noise", "noise_ratio": 0.1, "drop_marked": True},
    "mark_per_user": {"setting": "noise", "noise_ratio": 0.1, "mark_per_user": True},
    "tau2": {"loss": "bsl", "tau2": 0.3},
    "alpha": {"loss": "llpauc", "alpha": 0.3},
    "beta": {"loss": "llpauc", "beta": 0.3},
    "form": {"form": "inside"},
    "tau_weight": {"loss": "sl@20", "tau_weight": 0.5},
    "refresh": {"loss": "sl@20", "refresh": 2},
    "layers": {"backbone": "lightgcn", "layers": 1},
    "contrast_weight": {"backbone": "xsimgcl", "contrast_weight": 0.1},
    "as_released": {"loss": "bsl", "as_released": True},
}


def test_the_run_id_names_the_configuration() -> None:
    ids = {SMALL.run_id}
    fields = dataclasses.fields(RunConfig)
    for field in fields:
        now = getattr(SMALL, field.name)
        plain = {field.name: f"{now}x" if isinstance(now, str) else (now or 0) + 1}
        ids.add(dataclasses.replace(SMALL, **OTHER.get(field.name, plain)).run_id)
    assert len(ids) == len(fields) + 1


def test_an_option_that_is_not_taken_leaves_no_trace() -> None:
    """Records of before an option existed keep their run id."""
    assert not OPTIONS & SMALL.as_dict().keys()
    taken = RunConfig(loss="bsl", tau2=0.2, as_released=True).as_dict()
    assert taken["tau2"] == 0.2 and taken["as_released"] is True and "alpha" not in taken


EDGES: dict[str, tuple[Any, ...]] = {
    "noise_ratio": (0, 0.0, 5e-324, 1, 1.0),
    "drop_marked": (False, True),
    "mark_per_user": (False, True),
    "tau2": (None, 5e-324, 1e300),
    "alpha": (None, 5e-324, 1),
    "beta": (None, 5e-324, 1),
    "form": (None, "inside"),
    "tau_weight": (None, 5e-324, 1e300),
    "refresh": (None, 1, 10**9),
    "layers": (None, 1, 10**9),
    "contrast_weight": (None, 5e-324, 1e300),
    "as_released": (False, True),
}


def test_a_configuration_comes_back_from_its_record() -> None:
    assert EDGES.keys() == OPTIONS
    for name, values in EDGES.items():
        made = [RunConfig(**{**OTHER[name], name: value}) for value in values]
        for config in made:
            written = json.loads(json.dumps(config.as_dict()))
            assert RunConfig(**written) == config and records.run_id(written) == config.run_id
        assert len({c.run_id for c in made}) == len(set(made)), name


@pytest.mark.parametrize("name", ["drop_marked", "mark_per_user", "as_released"])
@pytest.mark.parametrize("value", [1, 0, "no", None, np.True_])
def test_a_switch_is_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(TrainingError, match=f"{name} must be True or False, got "):
        RunConfig(**{**OTHER[name], name: value})


def test_ood_as_released_selects_on_the_test_set_and_clean_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, str]] = []

    def spy(embed: Any, target: Interactions, masked: Interactions, **options: Any) -> Any:
        calls.append((target.fingerprint(), masked.fingerprint()))
        return evaluate(embed, target, masked, **options)

    monkeypatch.setattr("psl.training.loop.evaluate", spy)
    train_, test = data().train.fingerprint(), data().test.fingerprint()
    run(dataclasses.replace(SMALL, setting="ood"))
    assert set(calls) == {(test, train_)}, "nothing is held out of train"
    calls.clear()
    run(dataclasses.replace(SMALL, setting="ood", protocol="clean"))
    assert all(target != test for target, _ in calls[:-1])
    assert calls[-1] == (test, train_)


def test_noise_puts_positives_among_the_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {}
    fit, _ = holdout(data().train, 0.1, numpy_stream(SMALL.seed, "validation"))
    for ratio in (0.0, 0.5):
        seen: list[torch.Tensor] = []

        def step(self: Any, batch: Any, *_: Any, into: list[torch.Tensor] = seen) -> torch.Tensor:
            into.append(membership(fit, batch.users).gather(1, batch.negative))
            return torch.zeros(())

        monkeypatch.setattr(State, "step", step)
        run(dataclasses.replace(SMALL, setting="noise", noise_ratio=ratio, epochs=1))
        shares[ratio] = float(torch.cat(seen).double().mean())
    assert shares[0.0] == 0
    marked = NoisyNegatives(fit, 0.5, numpy_stream(SMALL.seed, "false negatives")).marked
    expected = 0.5 * float(np.mean(marked.degrees[fit.users] > 0))
    assert shares[0.5] == pytest.approx(expected, rel=0.05)


def test_marked_pairs_can_be_dropped_from_the_positives(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, _ = holdout(data().train, 0.1, numpy_stream(SMALL.seed, "validation"))
    marked = NoisyNegatives(fit, 0.5, numpy_stream(SMALL.seed, "false negatives")).marked
    noisy = dataclasses.replace(SMALL, setting="noise", noise_ratio=0.5, epochs=1)
    visited: dict[bool, Interactions] = {}
    masks: list[str] = []
    for drop in (False, True):
        seen: list[Any] = []

        def step(self: Any, batch: Any, *_: Any, into: list[Any] = seen) -> torch.Tensor:
            into.append(batch)
            return torch.zeros(())

        def spy(embed: Any, target: Interactions, masked: Interactions, **options: Any) -> Any:
            masks.append(masked.fingerprint())
            return evaluate(embed, target, masked, **options)

        monkeypatch.setattr(State, "step", step)
        monkeypatch.setattr("psl.training.loop.evaluate", spy)
        run(dataclasses.replace(noisy, drop_marked=drop))
        users, items = (
            torch.cat([getattr(b, name) for b in seen]).numpy() for name in ("users", "positive")
        )
        visited[drop] = Interactions.from_pairs(users, items, fit.num_users, fit.num_items)
        if drop:  # the only false negatives are marked ones: the others are never drawn
            hits = membership(fit, batch_users := torch.cat([b.users for b in seen])).gather(
                1, negative := torch.cat([b.negative for b in seen])
            )
            assert torch.equal(hits, membership(marked, batch_users).gather(1, negative))
            assert hits.any()
    assert visited[False].fingerprint() == fit.fingerprint()
    assert visited[True].union(marked).fingerprint() == fit.fingerprint()
    assert len(visited[True]) == len(fit) - len(marked)
    assert set(masks) == {fit.fingerprint()}, "what is dropped is masked all the same"


def test_the_whole_catalogue_in_place_of_a_sample() -> None:
    """``negatives=0`` is (4.1) over every item; a large sample comes close to it."""
    every = run(dataclasses.replace(SMALL, negatives=0)).record
    many = run(dataclasses.replace(SMALL, negatives=4000)).record
    assert every["metrics"]["ndcg@20"] == pytest.approx(many["metrics"]["ndcg@20"], rel=0.15)
    assert every["run_id"] != many["run_id"]


@pytest.mark.parametrize(
    "changes", [{"loss": "llpauc"}, {"loss": "bpr"}, {"setting": "noise", "noise_ratio": 0.1}]
)
def test_who_needs_a_sample_says_so(changes: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="needs sampled negatives"):
        run(dataclasses.replace(SMALL, negatives=0, **changes))


STATE = {"loss": "llpauc"}, {"loss": "advinfonce"}, {"loss": "bsl"}, {"backbone": "xsimgcl"}


def test_a_quantile_survives_a_stop(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, loss="sl@20", refresh=2, epochs=6)

    def stop(p: Progress) -> None:
        if (p.epoch, p.step) == (4, 1):  # between two looks at the model
            raise Stop

    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        run(config, checkpoint=checkpoint, progress=stop)
    assert same(run(config, checkpoint=checkpoint), run(config))


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("changes", STATE)
def test_runs_with_players_and_graphs_resume_too(
    changes: dict[str, str], released: bool, tmp_path: Path
) -> None:
    config = dataclasses.replace(SMALL, epochs=6, as_released=released, **changes)

    def stop(p: Progress) -> None:
        if (p.epoch, p.step) == (6, 1):  # after an epoch in which the adversary moved
            raise Stop

    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        run(config, checkpoint=checkpoint, progress=stop)
    assert same(run(config, checkpoint=checkpoint), run(config))


def test_the_adversary_moves_in_its_epochs_only() -> None:
    """As released, the model stands still in every fifth epoch."""
    config = dataclasses.replace(SMALL, loss="advinfonce", as_released=True, epochs=5)
    five, four = run(config), run(dataclasses.replace(config, epochs=4))
    assert torch.equal(five.model.item, four.model.item)
    plain = dataclasses.replace(config, as_released=False)
    five, four = run(plain), run(dataclasses.replace(plain, epochs=4))
    scores = [p["ndcg@20"] for p in five.record["validation_curve"]]
    assert scores[:4] == [p["ndcg@20"] for p in four.record["validation_curve"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": 0.5}, "psl-relu on mf has no option alpha"),
        ({"tau2": 0.1, "loss": "sl"}, "sl on mf has no option tau2"),
        ({"as_released": True}, "has no option as_released"),
        ({"layers": 2}, "has no option layers"),
        ({"layers": 0}, "has no option layers"),
        ({"alpha": 0.0}, "has no option alpha"),
        ({"form": "inside", "loss": "bpr"}, "bpr on mf has no option form"),
        ({"form": "outer"}, "form must be 'inside'"),
        ({"setting": "dark"}, "setting must be one of"),
        ({"setting": "noise"}, "needs a noise ratio"),
        ({"noise_ratio": 0.1}, "needs a noise ratio"),
        ({"setting": "noise", "noise_ratio": 1.1}, "noise_ratio must be at most 1"),
        ({"drop_marked": True}, "drop_marked is for the setting noise"),
        ({"mark_per_user": True}, "mark_per_user is for the setting noise"),
        ({"loss": "bsl", "tau2": 0.0}, "tau2 must be positive"),
        ({"loss": "llpauc", "alpha": 1.5}, "alpha must be at most 1"),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        RunConfig(**changes)


@pytest.mark.gpu
def test_a_gpu_trains_as_well() -> None:
    config = dataclasses.replace(SMALL, epochs=15, negatives=64, dim=16, lr=0.02)
    cpu = run(config).record["metrics"]["ndcg@20"]
    gpu = train(config, data(), device="cuda").record["metrics"]["ndcg@20"]
    assert gpu == pytest.approx(cpu, rel=0.15)
