"""Where a run happens, and what it tells of the place."""

from __future__ import annotations

import dataclasses
import sys

import pytest
import torch

from psl.errors import TrainingError, UnknownNameError
from psl.training import train
from psl.training.device import check_device, find_device, peak_memory
from small_runs import SMALL, data, run


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


@pytest.mark.gpu
def test_a_gpu_trains_as_well() -> None:
    config = dataclasses.replace(SMALL, epochs=15, negatives=64, dim=8, lr=0.02)
    cpu = run(config).record["metrics"]["ndcg@20"]
    gpu = train(config, data(), device="cuda").record["metrics"]["ndcg@20"]
    assert gpu == pytest.approx(cpu, rel=0.15)
