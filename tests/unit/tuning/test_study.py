"""A search: what it trains, what it never sees, and that a stopped one goes on."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from companion import datasets
from companion.reference import tuned
from companion.released import PaperConfig
from companion.tuning import OWN, RANGES, Budget, Search, Study, study, validate
from companion.tuning.space import DECAYS
from psl.errors import PSLError, TrainingError
from psl.losses import LOSSES
from psl.training import Progress, train

pytest.importorskip("optuna", reason="optuna is missing (extra `tune`)")

CPU = torch.device("cpu")
TINY = PaperConfig(protocol="clean", epochs=3, negatives=5, dim=8, validate_every=1)
DATA = datasets.load()


def search(**changes: Any) -> Search:
    return Search.of(dataclasses.replace(TINY, **changes), changes)


@pytest.mark.parametrize("setting", ["iid", "ood"])
def test_a_trial_is_the_training_of_the_clean_protocol(setting: str) -> None:
    data = dataclasses.replace(DATA, setting=setting)
    config = dataclasses.replace(TINY, setting=setting, lr=0.1, epochs=6)
    record = train(config, data, device="cpu").record
    best = max(p["ndcg@20"] for p in record["validation_curve"])
    assert validate(config, data, CPU) == (best, record["best_epoch"])


@pytest.mark.parametrize("setting", ["iid", "ood"])
def test_the_test_part_is_never_ranked(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from psl.training import loop

    seen, right = [], loop.evaluate

    def spy(embed: Any, target: Any, *given: Any, **options: Any) -> Any:
        seen.append(set(zip(target.users.tolist(), target.items.tolist(), strict=True)))
        return right(embed, target, *given, **options)

    monkeypatch.setattr(loop, "evaluate", spy)
    data = dataclasses.replace(DATA, setting=setting)
    validate(dataclasses.replace(TINY, setting=setting), data, CPU)
    tests = set(zip(DATA.test.users.tolist(), DATA.test.items.tolist(), strict=True))
    assert len(seen) == TINY.epochs and not any(target & tests for target in seen)


def test_what_is_given_or_ignored_is_not_searched() -> None:
    assert search().fields == ("tau", "lr", "weight_decay")
    assert search(lr=0.2).fields == ("tau", "weight_decay")
    assert search(loss="bpr").fields == ("lr", "weight_decay")
    at = search(lr=0.2).at({"tau": 0.123456, "weight_decay": 1e-6})
    assert (at.tau, at.lr, at.weight_decay) == (0.123, 0.2, 1e-6)
    keys = {
        search(**x).key(DATA) for x in ({}, {"dim": 5}, {"lr": 0.01}, {"seed": 1}, {"loss": "sl"})
    }
    assert len(keys) == 5
    other = dataclasses.replace(DATA, test=DATA.train)
    assert search().key(other) != search().key(DATA) == search().key(DATA)


def test_the_papers_values_lie_in_the_ranges() -> None:
    for loss in ("bpr", "sl", "psl-relu", "bsl", "advinfonce"):
        for dataset in ("amazon-book", "gowalla", "amazon-electronic"):
            cell = tuned(dataset, "iid", "mf", loss)
            for field, r in RANGES.items():
                assert field not in cell or r.low <= cell[field] <= r.high
            assert cell["weight_decay"] in DECAYS


def test_the_edge_of_a_range_is_told() -> None:
    at = {"tau": 0.01, "lr": 0.1, "weight_decay": 0.0}
    of = search()
    assert of.edges(of.at(at)) == ["tau 0.01 (searched: 0.01 to 1)"]
    assert of.edges(of.at({**at, "tau": 0.1, "lr": 0.95})) and not of.edges(TINY)
    ccl = Search.of(dataclasses.replace(TINY, loss="ccl"), (), own=True)
    wide = {"lr": 0.1, "weight_decay": 0.0, "margin": 0.0, "negative_weight": 1.0}
    assert ccl.edges(ccl.at(wide)) == ["negative_weight 1 (searched: 1 to 1000)"]


def test_a_losss_own_options_are_searched_around_its_usual_values() -> None:
    """Those that the loss takes when nothing is given: so the first trial is the usual loss."""
    for loss, options in OWN.items():
        spec = LOSSES[loss]
        built = inspect.signature(type(spec.build(0.1)).__init__).parameters
        assert options.keys() <= set(spec.options)
        for name, r in options.items():
            usual = 0.1 if name == "tau2" else built[name].default  # BSL's is that of tau
            assert r.usual == usual and r.low <= r.usual <= r.high
            dataclasses.replace(TINY, loss=loss, **{name: r.low})
            dataclasses.replace(TINY, loss=loss, **{name: r.high})
        of = Search.of(dataclasses.replace(TINY, loss=loss), (), own=True)
        assert set(of.fields) >= options.keys()
        without = Search.of(dataclasses.replace(TINY, loss=loss), ())
        assert not options.keys() & set(without.fields) and without.config != of.config
        name = next(iter(options))
        given = dataclasses.replace(TINY, loss=loss, **{name: options[name].high})
        assert name not in Search.of(given, (name,), own=True).fields


def values(of: Study) -> list[tuple[Any, ...]]:
    return [(t.config, t.state, t.score, t.epoch) for t in of.tried]


def test_a_stopped_search_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the random start, with Ctrl-C in some trials and a kill in another."""
    of, budget = search(epochs=1, weight_decay=0.0), Budget(trials=13)
    whole = Study(tmp_path / "whole", of, DATA)
    while not whole.spent(budget):
        whole.step(CPU)
    first = whole.tried[0].config
    assert (first.tau, first.lr) == (0.1, 0.01), "the usual values come first"
    assert len({t.config.run_id for t in whole.tried}) == 13

    path = tmp_path / "stopped"

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    for number in range(13):
        stopped = Study(path, of, DATA)
        assert len(stopped.tried) == number
        if number in (0, 4, 11):
            with pytest.raises(KeyboardInterrupt):
                stopped.step(CPU, stop)
            assert len(stopped.tried) == number
        if number == 7:  # a kill: the trial goes on running in the file, and a line is cut
            stopped._study.ask()
            path.write_bytes(path.read_bytes() + b'{"op_code": 4, "wor')
            stopped = Study(path, of, DATA)
        stopped.step(CPU)
    again = Study(path, of, DATA)
    assert again.spent(budget) and values(again) == values(whole)
    assert again.best is not None and again.best.score == max(t.score or 0 for t in again.tried)


def test_a_poor_trial_is_ended_and_a_broken_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, number = search(epochs=10), 0
    ended: list[int] = []

    def scripted(config: PaperConfig, data: Any, device: Any, progress: Any) -> tuple[float, int]:
        if number == 6:
            raise TrainingError("the loss is nan in epoch 1")
        for epoch in range(1, 11):
            ended.append(epoch)
            score = 0.1 * epoch / (10 if number == 5 else 1)
            progress(Progress(epoch, 0, 0, 1.0, score))
        return score, 10

    monkeypatch.setattr(study, "validate", scripted)
    made = Study(tmp_path / "x", of, DATA)
    for number in range(7):  # noqa: B007 - read above
        made.step(CPU)
    states = [t.state for t in made.tried]
    assert states == ["complete"] * 5 + ["pruned", "diverged"]
    assert len(ended) == 5 * 10 + 2, "not in the first fifth of the epochs, and then at once"
    assert made.tried[5].score == pytest.approx(0.02) and made.tried[5].epoch == 2
    assert made.tried[6].score is None and "nan" in made.tried[6].why
    assert made.best is not None and made.best.score == 1.0
    assert made.spent(Budget(trials=7)) and not made.spent(Budget(trials=8))
    assert made.spent(Budget(seconds=1e-9)) and not made.spent(Budget(seconds=1e9))


@pytest.mark.parametrize(("epochs", "first"), [(40, 8), (100, 20), (200, 20)])
def test_a_poor_trial_waits_for_a_fifth_of_the_epochs_and_not_longer_than_twenty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, first: int
) -> None:
    number = 0

    def scripted(config: PaperConfig, data: Any, device: Any, progress: Any) -> tuple[float, int]:
        for epoch in range(1, epochs + 1):
            progress(Progress(epoch, 0, 0, 1.0, 0.1 if number == 5 else 0.5))
        return 0.5, 1

    monkeypatch.setattr(study, "validate", scripted)
    made = Study(tmp_path / "x", search(epochs=epochs), DATA)
    for number in range(6):  # noqa: B007 - read above
        made.step(CPU)
    trial = made._study.get_trials()[5]
    assert made.tried[5].state == "pruned" and max(trial.intermediate_values) == first


def test_what_is_no_study_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text('"hello"\n[1]\n')
    with pytest.raises(PSLError, match="no trials of psl tune"):
        Study(tmp_path / "x", search(), DATA)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(PSLError, match=r"pip install 'psl\[tune\]'"):
        Study(tmp_path / "y", search(), DATA)
