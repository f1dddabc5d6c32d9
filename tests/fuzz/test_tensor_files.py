"""Damaged checkpoints and files of embeddings: the same content, or a typed error."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damage import damaged_bytes, damaged_content
from psl.errors import DataError, TrainingError
from psl.training import checkpoint as checkpoints
from psl.training import export, tensor_file
from psl.training.state import TrainState
from small_runs import SMALL, data, run

EXAMPLES = [200, pytest.param(5000, marks=pytest.mark.soak)]
CPU = torch.device("cpu")
# Each has state of its own: an adversary's parameters, three scalars and their clock, a buffer.
LOSSES = ["advinfonce", "llpauc", "sl@20"]


def fuzz(examples: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    limits = settings(max_examples=examples, deadline=None, database=None, print_blob=True)
    settings(limits, suppress_health_check=slow)(given(strategy)(check))()


def one_line(error: Exception, path: Path) -> None:
    assert str(error).startswith(f"{path}: ") and "\n" not in str(error)


@pytest.fixture(scope="module", params=LOSSES)
def trained(request, tmp_path_factory) -> tuple[Any, Any, Path]:
    """A run, its result and its last state."""
    config = dataclasses.replace(SMALL, epochs=2, dim=2, negatives=4, loss=request.param)
    path = tmp_path_factory.mktemp("whole") / "run.safetensors"
    return config, run(config, checkpoint=path), path


def restored(path: Path, config: Any, state: TrainState) -> bytes | None:
    """Return the bytes of a state that was read, or nothing where it was refused."""
    try:
        found = checkpoints.restore(path, state, config, data())
    except TrainingError as error:
        return one_line(error, path)
    checkpoints.save(path, state, config, data(), found)
    return path.read_bytes()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_checkpoint(trained, tmp_path: Path, examples: int) -> None:
    config, _, whole = trained
    path, kept = tmp_path / "run.safetensors", whole.read_bytes()
    state = TrainState.create(config, data().train, CPU)
    assert restored(whole, config, state) == kept, "undamaged, it is read"

    def bits(damaged: bytes) -> None:
        path.write_bytes(damaged)
        assert restored(path, config, state) in (None, kept)

    def content(change: tuple[str, dict[str, torch.Tensor], dict[str, str]]) -> None:
        kind, *parts = change
        tensor_file.write(path, *parts)
        if kind != "nan":  # of the right type and shape: the next epoch finds it
            assert restored(path, config, state) in (None, kept)

    fuzz(examples // 2, damaged_bytes(kept), bits)
    fuzz(examples // 2, damaged_content(whole), content)


class Tables:
    """What a model is for a file: tables, and a scale."""

    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(3, 2), torch.arange(8.0).reshape(4, 2)

    def scale(self, users: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return users, items


RECORD = {"run_id": "r", "dataset_fingerprint": "f", "best_epoch": 3, "config": {"loss": "sl"}}
NAMES = {"user": ["a", "é", "NA"], "item": ["0", "1", "2", "null"]}


def loaded(path: Path) -> export.Embeddings | None:
    """Return what can be ranked with, or nothing where the file was refused."""
    try:
        found = export.load(path)
    except DataError as error:
        return one_line(error, path)
    for table, ids in ((found.users, found.user_ids), (found.items, found.item_ids)):
        assert table.is_floating_point() and table.isfinite().all() and table.ndim == 2
        assert ids is None or (len(ids) == len(table) and all(isinstance(x, str) for x in ids))
    assert found.users.shape[1] == found.items.shape[1] and found.users.dtype == found.items.dtype
    return found


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_file_of_embeddings(tmp_path: Path, examples: int) -> None:
    whole, path = tmp_path / "whole.safetensors", tmp_path / "a.safetensors"
    export.save(whole, Tables(), RECORD, NAMES)
    kept = loaded(whole)
    assert kept is not None

    def bits(damaged: bytes) -> None:
        path.write_bytes(damaged)
        found = loaded(path)
        if found is not None:
            assert (found.user_ids, found.item_ids, found.about) == (*NAMES.values(), kept.about)
            assert torch.equal(found.users, kept.users) and torch.equal(found.items, kept.items)

    def content(change: tuple[str, dict[str, torch.Tensor], dict[str, str]]) -> None:
        tensor_file.write(path, *change[1:])
        loaded(path)

    fuzz(examples // 2, damaged_bytes(whole.read_bytes()), bits)
    fuzz(examples // 2, damaged_content(whole), content)
