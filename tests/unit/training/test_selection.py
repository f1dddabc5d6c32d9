"""What a run is trained on, what its best epoch is chosen by, and what is masked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from psl.errors import DataError, TrainingError
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.streams import numpy_stream
from psl.training import PROTOCOLS, train
from small_runs import SMALL, data, run


def test_data_of_another_name_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"names amazon-health .iid., the data is synthetic"):
        train(dataclasses.replace(SMALL, dataset="amazon-health"), data(), device="cpu")
    with pytest.raises(TrainingError, match=r"names synthetic .ood., the data is synthetic .iid."):
        train(dataclasses.replace(SMALL, setting="ood"), data(), device="cpu")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Collect what each evaluation is on, and what it masks."""
    seen: list[tuple[str, str]] = []

    def spy(embed: Any, target: Interactions, masked: Interactions, **options: Any) -> Any:
        seen.append((target.fingerprint(), masked.fingerprint()))
        return evaluate(embed, target, masked, **options)

    monkeypatch.setattr("psl.training.loop.evaluate", spy)
    return seen


def test_validation_comes_out_of_train_and_protocols_mask_as_they_say(
    calls: list[tuple[str, str]],
) -> None:
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


def test_ood_as_released_selects_on_the_test_set_and_clean_does_not(
    calls: list[tuple[str, str]],
) -> None:
    train_, test = data().train.fingerprint(), data().test.fingerprint()
    run(dataclasses.replace(SMALL, setting="ood"))
    assert set(calls) == {(test, train_)}, "nothing is held out of train"
    calls.clear()
    run(dataclasses.replace(SMALL, setting="ood", protocol="clean"))
    assert all(target != test for target, _ in calls[:-1])
    assert calls[-1] == (test, train_)


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


@pytest.mark.parametrize(
    ("scores", "last"),
    [([0.1, 0.3, 0.2, 0.2], 8), ([0.1, 0.2, 0.3, 0.4, 0.3, 0.2], 12)],
)
def test_patience_counts_validations_and_not_epochs(
    scores: list[float], last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([*scores, 0.0])  # the last is the test
    monkeypatch.setattr("psl.training.loop.evaluate", lambda *_, **__: {"ndcg@20": next(told)})
    config = dataclasses.replace(SMALL, epochs=40, validate_every=2, patience=2)
    assert run(config).record["validation_curve"][-1]["epoch"] == last


def test_where_nothing_can_be_set_aside_the_reason_is_told() -> None:
    k = np.arange(9)
    one_each = Interactions.from_pairs(k, k, 9, 9)
    alone = dataclasses.replace(data(), train=one_each)
    with pytest.raises(DataError, match=r"no user has more than one interaction.* --core"):
        train(SMALL, alone, device="cpu")
