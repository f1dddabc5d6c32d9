"""Where a run happens."""

from __future__ import annotations

import resource
import sys

import torch

from psl.errors import TrainingError

__all__ = ["describe", "find_device", "forget_peak", "peak_memory"]


def find_device(name: str) -> torch.device:
    """Return the device of a name; auto is a GPU where there is one.

    Raises
    ------
    TrainingError
        If there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(name)
    except RuntimeError as error:
        raise TrainingError(f"unknown device {name!r}; use auto, cpu or cuda") from error
    if place.type not in ("cpu", "cuda"):
        raise TrainingError(f"the device {name!r} is not supported; use auto, cpu or cuda")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError("no CUDA device is available; use --device cpu")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise TrainingError(f"{name}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    return place


def describe(place: torch.device) -> str:
    """Return the words a record names the device with."""
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return f"cpu, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def forget_peak(place: torch.device) -> None:
    """Let :func:`peak_memory` start from here, on a GPU; a process's own peak stays."""
    if place.type == "cuda":
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(place)


def peak_memory(place: torch.device) -> int:
    """Return the most bytes held: by the GPU's tensors, or so far by this whole process."""
    if place.type == "cuda":
        return torch.cuda.max_memory_allocated(place)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
