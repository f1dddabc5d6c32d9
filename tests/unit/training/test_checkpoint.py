"""A stopped run ends like one that was not, and no state of another run is taken for its own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from psl.errors import TrainingError
from psl.training import tensor_file, train
from psl.training.checkpoint import CheckpointWriter
from small_runs import SMALL, Stop, data, run, same, stop_in


@pytest.mark.parametrize("where", [(2, 3), (3, 0), (4, 1)])
def test_a_stopped_run_ends_like_one_that_was_not(tmp_path: Path, where: tuple[int, int]) -> None:
    checkpoint = tmp_path / "run.safetensors"
    config = dataclasses.replace(SMALL, weight_decay=1e-4)
    with pytest.raises(Stop):
        run(config, checkpoint=checkpoint, progress=stop_in(*where))
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


def test_a_quantile_survives_a_stop(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, loss="sl@20", refresh=2, epochs=6)
    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        run(config, checkpoint=checkpoint, progress=stop_in(4))  # between two looks at the model
    assert same(run(config, checkpoint=checkpoint), run(config))


STATE = {"loss": "llpauc"}, {"loss": "advinfonce"}, {"loss": "bsl"}, {"backbone": "xsimgcl"}


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("changes", STATE)
def test_runs_with_players_and_graphs_resume_too(
    changes: dict[str, str], released: bool, tmp_path: Path
) -> None:
    config = dataclasses.replace(SMALL, epochs=6, as_released=released, **changes)
    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        run(config, checkpoint=checkpoint, progress=stop_in(6))  # the adversary has moved
    assert same(run(config, checkpoint=checkpoint), run(config))


KEPT = ("sogclr", "sogsl@k", "talos", "drrl", "guidedrec")


@pytest.mark.parametrize(
    "changes",
    [*({"loss": name} for name in KEPT), {"loss": "sl@k", "sampled_quantile": True}],
    ids=lambda changes: changes["loss"],
)
def test_what_a_loss_of_the_field_keeps_survives_a_stop(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    if "@k" in changes["loss"]:
        changes = {**changes, "refresh": 2, "k": 5}
    config = dataclasses.replace(SMALL, epochs=5, **changes)
    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        run(config, checkpoint=checkpoint, progress=stop_in(4))
    assert same(run(config, checkpoint=checkpoint), run(config))


def test_another_code_is_named_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for digest in ("before", "after"):
        for module in ("provenance", "checkpoint"):
            monkeypatch.setattr(f"psl.training.{module}.CODE_DIGEST", digest)
        checkpoint = tmp_path / "run.safetensors"
        if digest == "before":
            with pytest.raises(Stop):
                run(checkpoint=checkpoint, progress=stop_in(3))
    record = run(checkpoint=checkpoint).record
    assert record["code_digest"] == "after" and record["continued_from"] == "before"
    assert "continued_from" not in run().record


def test_another_device_is_named_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "run.safetensors"
    places = ("one thread", "two threads", "two threads")
    for epoch, place in enumerate(places, start=2):
        for module in ("checkpoint", "loop"):
            monkeypatch.setattr(f"psl.training.{module}.describe", lambda _, said=place: said)
        if epoch < 4:
            with pytest.raises(Stop):
                run(checkpoint=checkpoint, progress=stop_in(epoch))
    record = run(checkpoint=checkpoint).record
    assert record["device"] == "two threads"
    assert record["continued_from_device"] == "one thread", "also after a second stop"
    assert "continued_from" not in record and "continued_from_device" not in run().record


ONE = dataclasses.replace(SMALL, epochs=1)


@pytest.mark.parametrize("key", ["config", "fingerprint", "epoch", "best_score", "curve", "code"])
def test_a_checkpoint_that_lacks_a_key(tmp_path: Path, key: str) -> None:
    checkpoint = tmp_path / "run.safetensors"
    run(ONE, checkpoint=checkpoint)
    tensors, metadata = tensor_file.read(checkpoint)
    about = json.loads(metadata["run"])
    del about[key]
    tensor_file.write(checkpoint, tensors, {"run": json.dumps(about)})
    with pytest.raises(TrainingError, match=rf"not a readable checkpoint; delete it .'{key}'"):
        run(ONE, checkpoint=checkpoint)


def test_the_same_state_is_the_same_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.zeros(()), "a": torch.arange(3), "c": torch.zeros(0, 2)}
    for number in range(5):
        about = {str(k): "größe" for k in range(9)}
        tensor_file.write(tmp_path / str(number), tensors, about)
        again, said = tensor_file.read(tmp_path / str(number))
        assert said == about and again.keys() == tensors.keys()
        assert all(torch.equal(again[k], tensors[k]) for k in tensors)
        assert load_file(tmp_path / str(number)).keys() == tensors.keys(), "without this module"
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


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


def test_the_time_before_a_stop_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, now = tmp_path / "run.safetensors", [0.0]

    def clock() -> float:
        now[0] += 100
        return now[0]

    monkeypatch.setattr("psl.training.loop.time.perf_counter", clock)
    with pytest.raises(Stop):
        run(checkpoint=checkpoint, progress=stop_in(3))
    # Two ticks before the stop, of whole epochs; three after it, two epochs and the test.
    assert run(checkpoint=checkpoint).record["seconds"] == 500


def test_a_path_may_be_text(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(checkpoint=str(tmp_path / "run.safetensors"), progress=stop_in(2))
    assert same(run(checkpoint=str(tmp_path / "run.safetensors")), run())


def test_a_state_that_takes_long_to_write_is_not_written_after_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second for each: no more of them than one in ten seconds."""
    now, written = [0.0], []
    monkeypatch.setattr("psl.training.checkpoint.time.monotonic", lambda: now[0])

    def slow(path: Path, epoch: int) -> None:
        written.append(epoch)
        now[0] += 0.5

    monkeypatch.setattr("psl.training.checkpoint.save", slow)
    keep = CheckpointWriter(tmp_path / "run.safetensors")
    for epoch in range(1, 31):
        now[0] += 1.0
        keep(epoch, last=False)
    assert written == [1, 11, 21]
    for epoch in range(31, 34):  # of a minute each
        now[0] += 60.0
        keep(epoch, last=False)
    assert written[3:] == [31, 32, 33]
    keep(34, last=False)
    keep(35, last=True)
    CheckpointWriter(None)(36, last=True)
    assert written[6:] == [35]
