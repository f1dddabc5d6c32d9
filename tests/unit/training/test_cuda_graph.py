"""When a step is recorded and when it is replayed, with a device that is only acted.

That a real graph gives the same bits is asked in ``tests/oracle/test_gpu.py``.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from psl.training.cuda_graph import CUDAGraphStep


class Stream:
    def __init__(self, device: Any = None) -> None:
        self.device = device

    def wait_stream(self, other: Any) -> None: ...


class Graph:
    """Replays by calling the work again; what it returned stays where it was."""

    def __init__(self) -> None:
        self.replayed = 0

    def replay(self) -> None:
        self.replayed += 1
        STAGE.replay.value.copy_(STAGE.work(*STAGE.replay.inputs))


class Stage:
    """The work, how often Python asked for it, and whether it swept while it was recorded."""

    def __init__(self) -> None:
        self.asked, self.swept_while_recording = 0, False
        self.replay = CUDAGraphStep(self.ask)

    @staticmethod
    def work(x: Tensor, y: Tensor) -> Tensor:
        return (x * y).sum()

    def ask(self, x: Tensor, y: Tensor) -> Tensor:
        self.asked += 1
        return self.work(x, y)


STAGE: Stage


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    global STAGE
    STAGE = Stage()

    @contextmanager
    def recording(graph: Graph, *, stream: Stream, capture_error_mode: str):
        assert isinstance(stream, Stream) and capture_error_mode == "thread_local"
        STAGE.swept_while_recording |= gc.isenabled()
        yield

    for name, act in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda _: nullcontext(),
        "device": lambda _: nullcontext(),
        "CUDAGraph": Graph,
        "graph": recording,
    }.items():
        monkeypatch.setattr(torch.cuda, name, act)
    monkeypatch.setattr(Tensor, "record_stream", lambda *_: None)
    return STAGE


def batch(rows: int, start: float = 0.0) -> tuple[Tensor, Tensor]:
    return torch.arange(rows) + start, torch.ones(rows)


def test_two_calls_are_taken_the_third_is_recorded_and_the_others_replayed(stage: Stage) -> None:
    replay, values = stage.replay, []
    for start in range(6):
        values.append(float(replay(*batch(4, start))))
    assert values == [6.0 + 4 * start for start in range(6)]
    assert stage.asked == 3 and isinstance(replay.graph, Graph) and replay.graph.replayed == 4


def test_a_batch_of_another_length_is_taken_as_it_is(stage: Stage) -> None:
    for rows in (4, 4, 4, 3, 4):
        assert float(stage.replay(*batch(rows))) == sum(range(rows))
    assert stage.asked == 4


def test_nothing_is_swept_while_recording_and_sweeping_goes_on_after(stage: Stage) -> None:
    for _ in range(3):
        stage.replay(*batch(4))
    assert not stage.swept_while_recording and gc.isenabled()


def test_what_fails_while_recording_leaves_python_as_it_was(stage: Stage) -> None:
    for _ in range(2):
        stage.replay(*batch(4))

    def broken(*_: Tensor) -> Tensor:
        raise RuntimeError("not while capturing")

    stage.replay.work = broken
    with pytest.raises(RuntimeError, match="not while capturing"):
        stage.replay(*batch(4))
    assert gc.isenabled() and stage.replay.graph is None


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_nothing_is_recorded_under_anomaly_detection(stage: Stage) -> None:
    with torch.autograd.detect_anomaly(check_nan=False):
        for _ in range(5):
            stage.replay(*batch(4))
    assert stage.asked == 5 and stage.replay.graph is None
