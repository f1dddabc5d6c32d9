"""Where a run happens."""

import sys

import torch

from psl.errors import TrainingError, UnknownNameError

__all__ = ["check_device", "describe", "find_device", "forget_peak", "on_gpu", "peak_memory"]

DEVICES = ("auto", "cpu", "cuda")


def check_device(name: str) -> None:
    """Refuse what names no device, and a device that torch may know (mps, xpu) and psl does not.

    Raises UnknownNameError.  Whether it is there, :func:`find_device` asks where a run begins.
    """
    try:
        kind = name if name == "auto" else torch.device(name).type
    except RuntimeError:
        kind = ""
    if kind not in DEVICES:
        raise UnknownNameError("device", name, DEVICES)


def find_device(name: str) -> torch.device:
    """Return the device of a name; auto is a GPU where there is one.

    Raises UnknownNameError, TrainingError as :func:`check_device`; if there is no such device here.
    """
    check_device(name)
    device = torch.device(name if name != "auto" else "cuda" if on_gpu(name) else "cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError("no CUDA device is available; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(f"{name}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    return device


def on_gpu(name: str) -> bool:
    """Whether a device's name means a GPU here; ``auto`` does where there is one."""
    return torch.cuda.is_available() if name == "auto" else torch.device(name).type == "cuda"


def describe(device: torch.device) -> str:
    """Return the words a record names the device with."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def forget_peak(device: torch.device) -> None:
    """Let :func:`peak_memory` start from here, on a GPU; a process's own peak stays."""
    if device.type == "cuda":
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes held, or ``None`` where the system does not tell.

    On a GPU: by tensors since :func:`forget_peak`, what libraries keep for their streams included;
    of earlier runs in the process too.  On a CPU: by the whole process since it
    started, so of several runs in one process each has at least the number of those before it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
