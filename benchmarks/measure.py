"""How time, memory and the limits of a machine are measured."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from psl.kernels.dispatch import cpu_kernels, gpu_kernels

CALLS = 20  # of a GPU's work for one wait: in training, too, nobody waits after a step
WARM_UP = 3  # calls after which a GPU's work is recorded


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time one call; on a GPU, which is waited for, the mean of a few in a row."""
    if device.type != "cuda":
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin
    torch.cuda.synchronize(device)
    begin = time.perf_counter()
    for _ in range(CALLS):
        work()
    torch.cuda.synchronize(device)
    return (time.perf_counter() - begin) / CALLS


def warm_up(work: Callable[[], object], device: torch.device) -> None:
    """Call until nothing is compiled or recorded any more."""
    for _ in range(WARM_UP if device.type == "cuda" else 1):
        work()


def median_seconds(work: Callable[[], object], device: torch.device, repeat: int) -> float:
    """Time calls after those that compile; return the median."""
    warm_up(work, device)
    return statistics.median(seconds(work, device) for _ in range(repeat))


def in_turns(
    plain: Callable[[], object], ours: Callable[[], object], device: torch.device, repeat: int
) -> dict[str, float]:
    """Time two ways in turns, so that both see the same machine; the ratio is the pairs' median.

    What is timed follows a call of its own kind, as a step follows a step in training: neither side
    finds the other's data in the caches.
    """
    pairs = []
    for way in (plain, ours):
        warm_up(way, device)
    for _ in range(repeat):
        plain()
        first = seconds(plain, device)
        ours()
        pairs.append((first, seconds(ours, device)))
    return {
        "plain_seconds": statistics.median(p for p, _ in pairs),
        "ours_seconds": statistics.median(o for _, o in pairs),
        "ratio": statistics.median(p / o for p, o in pairs),
        "ratio_lowest": min(p / o for p, o in pairs),
        "ratio_highest": max(p / o for p, o in pairs),
    }


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Return the bytes by which a call raises this process's memory at its peak (CPU: Linux)."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = _resident("VmRSS")
    work()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def machine(device: torch.device) -> dict[str, Any]:
    """Describe the machine and measure its two limits: arithmetic and memory traffic.

    Arithmetic is a single-precision product of square matrices, 2048 rows on a CPU and 8192 on a
    GPU, which a smaller one does not fill; traffic is a copy of 256 MiB, read and written, and on a
    GPU also one of 16 MiB, which stays in its cache.  All are what the machine gives to torch, not
    what its maker prints.
    """
    rows = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(rows, rows, device=device) for _ in range(2))

    def copied(mebibytes: int) -> float:
        long = torch.zeros(mebibytes << 18, device=device)
        other = torch.empty_like(long)
        return 2 * (mebibytes << 20) / median_seconds(lambda: other.copy_(long), device, 5)

    product = median_seconds(lambda: a @ b, device, 5)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "kernels": (gpu_kernels(a) or cpu_kernels(a)) is not None,
        "flops_per_second": 2 * rows**3 / product,
        "bytes_per_second": copied(256),
        "cache_bytes_per_second": copied(16) if device.type == "cuda" else None,
        "spin_count": os.environ.get("GOMP_SPINCOUNT", "not set"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
