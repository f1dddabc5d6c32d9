"""Threads, GPU, memory and disk of the machine, as far as the system tells."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from companion.datasets import cache_folder
from companion.doctor.findings import Finding, Status
from companion.writable import check_writable
from psl.errors import PSLError

__all__ = ["machine_findings"]

GB = 1e9
CGROUP = Path("/sys/fs/cgroup")
MEMORY_GB, DISK_GB = (0.5, 2.0), (0.2, 4.0)  # below the first nothing goes, below the second little
NEEDED_CAPABILITY = (7, 0)  # Volta: what Triton compiles for


def machine_findings() -> Iterator[Finding]:
    """Look at the machine."""
    yield _threads()
    yield _gpu()
    yield _memory()
    yield _folders()
    yield from _disk()


def _threads() -> Finding:
    count, cores = torch.get_num_threads(), usable_cores()
    text = f"{count} of torch for {cores:g} usable cores"
    if count > math.ceil(cores):
        remedy = f"set OMP_NUM_THREADS={math.ceil(cores)}, or give --threads"
        return Finding("threads", "warn", f"{text}: they wait for each other", remedy)
    return Finding("threads", "ok", text)


def usable_cores() -> float:
    """Return how many cores this process may use: of its affinity, or as a container allows."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = float(len(affinity(0)) if affinity else os.cpu_count() or 1)
    with suppress(OSError, ValueError):  # "max 100000": no limit
        quota, period = (CGROUP / "cpu.max").read_text().split()
        cores = min(cores, int(quota) / int(period))
    return cores


def _gpu() -> Finding:
    if not torch.cuda.is_available():
        if torch.version.cuda is None and shutil.which("nvidia-smi"):
            remedy = "install PyTorch's build for CUDA (pytorch.org, Get started)"
            return Finding("GPU", "warn", "an NVIDIA driver, but torch is built for CPUs", remedy)
        return Finding("GPU", "ok", "none that torch can use; a CPU trains")
    texts, old = [], False
    for k in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(k)
        texts.append(
            f"{torch.cuda.get_device_name(k)}, {free / GB:.0f} of {total / GB:.0f} GB free"
        )
        old = old or torch.cuda.get_device_capability(k) < NEEDED_CAPABILITY
    remedy = "older than Volta: the kernels do not serve there, torch does" if old else ""
    return Finding("GPU", "warn" if old else "ok", "; ".join(texts), remedy)


def free_memory() -> int | None:
    """Return the bytes that this process can still get, or ``None`` where the system is silent."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        with open("/proc/meminfo") as lines:
            line = next(line for line in lines if line.startswith("MemAvailable"))
        found.append(int(line.split()[1]) * 1024)
    with suppress(OSError, ValueError):  # a container's limit
        limit, used = (int((CGROUP / f"memory.{x}").read_text()) for x in ("max", "current"))
        found.append(limit - used)
    return min(found, default=None)


def _memory() -> Finding:
    free = free_memory()
    if free is None:
        return Finding("memory", "ok", "not told by this system")
    remedy = "close other programs; smaller --dim, --batch-size and --negatives need less"
    return _amount("memory", free, MEMORY_GB, "can be had", remedy)


def _amount(
    name: str, free: float, bounds: tuple[float, float], words: str, remedy: str
) -> Finding:
    least, wanted = (bound * GB for bound in bounds)
    status: Status = "fail" if free < least else "warn" if free < wanted else "ok"
    return Finding(name, status, f"{free / GB:.1f} GB {words}", remedy if status != "ok" else "")


def _folders() -> Finding:
    """Look whether records and states can be written where commands put them."""
    try:
        for folder in ("results", ".psl"):
            check_writable(Path(folder) / "file")
    except PSLError as error:
        remedy = "change to a folder of yours, or give --results and --checkpoints"
        return Finding("folders", "fail", str(error), remedy)
    return Finding("folders", "ok", "results and .psl can be written in this folder")


def _disk() -> Iterator[Finding]:
    places = {"disk (here)": Path.cwd()}
    with suppress(PSLError):  # no home folder: told where data is looked for
        places["disk (cache)"] = cache_folder()
    for name, place in places.items():
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        remedy = "make room" + ("" if "here" in name else ", or set PSL_CACHE to another folder")
        yield _amount(name, shutil.disk_usage(there).free, DISK_GB, f"free at {place}", remedy)
