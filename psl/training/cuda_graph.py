"""Work on tensors recorded once as a CUDA graph, and replayed: one launch in place of dozens.

A step of the paper's size takes a GPU less time than Python needs to ask for its kernels.
"""

import gc
import threading
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["CUDAGraphStep"]

WARM_UP = 2  # calls before it is recorded: they make the optimizer's state, and compile kernels
_recording = threading.Lock()  # one graph at a time is recorded in a process


class CUDAGraphStep:
    """Call ``work``; with tensors of the first call's shapes it is replayed from the third call on.

    The same kernels run on the same numbers, so a replayed call gives the bits of any other.  While
    ``torch.autograd.detect_anomaly`` watches nothing is recorded.

    Parameters
    ----------
    work : callable
        ``(*tensors) -> Tensor``, on a CUDA device that it does not wait for.  What it does may
        depend on these tensors, and on others that stay where they are, and on nothing else that
        changes.
    """

    def __init__(self, work: Callable[..., Tensor]) -> None:
        self.work = work
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self.aside: torch.cuda.Stream
        self.value: Tensor
        self.calls = 0

    def __call__(self, *tensors: Tensor) -> Tensor:
        """Return what ``work`` returns, in a tensor that the next call may overwrite."""
        if not self.calls:
            self.inputs = tuple(torch.empty_like(x) for x in tensors)
            self.aside = torch.cuda.Stream(tensors[0].device)
        alike = [x.shape for x in tensors] == [x.shape for x in self.inputs]
        if not alike or torch.is_anomaly_enabled():  # what is left of an epoch is shorter
            return self.work(*tensors)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self._warm_up(tensors)
        for own, given in zip(self.inputs, tensors, strict=True):
            own.copy_(given)
        if self.graph is None:
            self.graph = self._record()
        self.graph.replay()
        return self.value

    def _warm_up(self, tensors: tuple[Tensor, ...]) -> Tensor:
        """Work in the stream of the recording: libraries keep their stores by stream."""
        here = torch.cuda.current_stream(self.aside.device)
        self.aside.wait_stream(here)
        with torch.cuda.stream(self.aside), warnings.catch_warnings():
            # Adam, fit for recording, is surprised not to be recorded yet.
            warnings.filterwarnings("ignore", message="This instance was constructed with capturab")
            value = self.work(*tensors)
        here.wait_stream(self.aside)
        value.record_stream(here)
        return value

    def _record(self) -> torch.cuda.CUDAGraph:
        """Record the work on the kept inputs."""
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on using the device meanwhile, but for recording.
        recorder = torch.cuda.graph(graph, stream=self.aside, capture_error_mode="thread_local")
        with _recording, torch.cuda.device(self.aside.device):
            # What Python sweeps up now and then may be the graph of another run, and to free that
            # would break this one off.
            gc.collect()
            swept = gc.isenabled()
            gc.disable()
            try:
                with recorder:
                    self.value = self.work(*self.inputs)
            finally:
                if swept:
                    gc.enable()
        return graph
