"""Embeddings in a file: who multiplies them gets the scores that the record was made with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from companion import datasets
from psl.errors import DataError
from psl.evaluation import evaluate
from psl.holdout import holdout
from psl.streams import numpy_stream
from psl.training import RunConfig, train
from psl.training import export as embeddings

NAMES = {"user": ["NA", "größe", 'a"b'], "item": ["0", "1", "2", "null"]}


@pytest.mark.parametrize("protocol", ["released", "clean"])
@pytest.mark.parametrize(
    ("backbone", "loss"), [("mf", "bpr"), ("mf", "psl-relu"), ("lightgcn", "sl"), ("xsimgcl", "sl")]
)
def test_the_file_gives_the_metrics_of_the_record(
    tmp_path: Path, backbone: str, loss: str, protocol: str
) -> None:
    data = datasets.load()
    config = RunConfig(
        backbone=backbone, loss=loss, protocol=protocol, epochs=3, negatives=20, dim=8, lr=0.05
    )
    run = train(config, data, device="cpu")
    path = tmp_path / "new" / "best.safetensors"
    embeddings.save(path, run.model, run.record)
    found = embeddings.load(path)
    assert found.users.shape == (400, 8) and found.items.shape == (600, 8)
    assert not found.users.requires_grad and found.user_ids is found.item_ids is None
    masked = data.train
    if protocol == "released":  # at test only what was trained on is masked
        masked, _ = holdout(data.train, 0.1, numpy_stream(config.seed, "validation"))
    again = evaluate(lambda chosen: (found.users[chosen], found.items), data.test, masked)
    assert again == run.record["metrics"]
    assert found.about["run_id"] == config.run_id
    assert found.about["dataset_fingerprint"] == data.fingerprint
    assert json.loads(found.about["config"]) == config.as_dict()
    assert int(found.about["best_epoch"]) == run.record["best_epoch"]


class Untrained:
    """What a model is for a file: tables, and a scale."""

    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(3, 2, requires_grad=True), torch.ones(4, 2)

    def scale(self, users: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return users / 2, items


RECORD = {"run_id": "r", "dataset_fingerprint": "f", "best_epoch": 3, "config": {"loss": "sl"}}


def test_names_stand_beside_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    embeddings.save(path, Untrained(), RECORD, NAMES)
    found = embeddings.load(path)
    assert found.user_ids == NAMES["user"] and found.item_ids == NAMES["item"]
    assert found.users.unique().item() == 0.5 and found.items.unique().item() == 1
    # Without this module.
    plain = load_file(path)
    assert plain["user_embeddings"].equal(found.users)
    assert json.loads(bytes(plain["item_ids"].numpy()).decode()) == NAMES["item"]
    embeddings.save(path, Untrained(), RECORD, {"item": NAMES["item"]})
    assert embeddings.load(path).user_ids is None


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    names, record = NAMES | {"user": ["a", "b", "\ud800"]}, {}
    with pytest.raises(DataError, match=r"not written .*surrogates not allowed"):
        embeddings.save(tmp_path / "best.safetensors", Untrained(), record, names)
    assert not list(tmp_path.iterdir())


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for content in (None, b"no", b"\x02\0\0\0\0\0\0\0{}"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.safetensors: not a file of `psl train --save`"):
            embeddings.load(path)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    embeddings.save(str(tmp_path / "a.safetensors"), Untrained(), RECORD)
    assert embeddings.load(str(tmp_path / "a.safetensors")).user_ids is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(DataError, match="it is no file, but a folder, pipe or device"):
            embeddings.load(path)
