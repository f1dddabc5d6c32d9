"""Which implementation of an operator serves: the kernel of the tensor's device, or torch.

A kernel has one name: it is a function NAME of :mod:`psl.kernels.cpu`, of :mod:`psl.kernels.cuda`,
or of both, and :func:`choose` is where one of them is chosen.  So has its operator,
``torch.ops.psl.NAME``; that of the softmax losses has two kernels, for sampled items and for all.

Two Python threads may call the kernels at once where numba's threading layer is OpenMP or TBB.
Its third, ``workqueue``, which serves where neither is installed, ends a process that does.
"""

import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from psl.errors import UnknownNameError

__all__ = ["Impl", "catalogue_is_cheaper", "choose", "cpu_kernels", "gpu_kernels", "serving"]

Impl = Literal["auto", "torch", "kernel"]
ON, OFF = ("on", "1", "true", "yes"), ("off", "0", "false", "no")
_forked = False


def _note_fork() -> None:
    """Remember in a forked child that its parent had OpenMP's threads: it has none of them.

    There numba ends the process at the next parallel loop.  Its other layers start threads anew.
    """
    global _forked
    numba = sys.modules.get("numba")
    with suppress(ValueError):  # no thread was started yet
        _forked = _forked or (numba is not None and numba.threading_layer() == "omp")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


@cache
def _load() -> ModuleType | None:
    try:
        import numba

        # Then nothing is compiled: the kernels would be loops in Python.
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return None
        from psl.kernels import cpu as kernels
    except ImportError:  # the extra `fast` is not installed
        return None
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        warnings.warn(
            "the CPU kernels do not serve: numba finds no folder that it may write its cache to; "
            "set NUMBA_CACHE_DIR to one",
            stacklevel=2,
        )
        return None
    return kernels


@cache
def _load_cuda() -> ModuleType | None:
    try:
        import triton

        if int(triton.__version__.split(".")[0]) < 3:  # another language
            return None
        from psl.kernels import cuda as kernels_cuda
    except ImportError:  # Triton comes with PyTorch's builds for CUDA on Linux, and with no other
        return None
    return kernels_cuda


@cache
def _compiles_for(device: torch.device) -> bool:
    """Whether Triton compiles for this GPU: Volta (7.0) and later."""
    return torch.cuda.get_device_capability(device) >= (7, 0)


def _enabled() -> bool:
    """Whether the environment leaves the kernels on; an unknown value is an error."""
    word = os.environ.get("PSL_KERNELS", "").strip().lower() or "on"
    if word not in ON + OFF:
        raise UnknownNameError("value of PSL_KERNELS", word, ON + OFF)
    return word in ON


def _supports(tensor: Tensor) -> bool:
    # torch.compile cannot follow a kernel; it calls the operators of torch whole, kernels and all.
    if torch.compiler.is_compiling():
        return False
    return _enabled() and tensor.dtype in (torch.float32, torch.int64)


def serving(device: torch.device) -> str:
    """Return which kernels serve on a device, ``numba 0.61.0``, or ``torch`` where none do.

    Where they could but for a missing extra, a warning says so once.
    """
    probe = torch.empty(0, device=device)
    for kernels, name in ((gpu_kernels, "triton"), (cpu_kernels, "numba")):
        if kernels(probe) is not None:
            return f"{name} {version(name)}"
    if device.type == "cpu" and _enabled() and find_spec("numba") is None:
        _say_what_is_missing()
    return "torch"


@cache
def _say_what_is_missing() -> None:
    warnings.warn(
        "numba is not installed: training takes several times as long on a CPU; "
        "pip install 'psl[fast]' brings it, PSL_KERNELS=off says that it is meant",
        stacklevel=3,
    )


def choose(name: str, tensor: Tensor, impl: str = "auto") -> Callable[..., Any] | None:
    """Return the kernel of a name for a tensor's device and dtype; ``None``: torch takes it.

    Raises UnknownNameError for an ``impl`` that is none of "auto", "torch" and "kernel", and
    ValueError where "kernel" is asked for and none serves.
    """
    if impl not in get_args(Impl):
        raise UnknownNameError("impl", impl, get_args(Impl))
    for kernels in (gpu_kernels, cpu_kernels) if impl != "torch" else ():
        found: Callable[..., Any] | None = getattr(kernels(tensor), name, None)
        if found is not None:
            return found
    if impl == "kernel":
        raise ValueError(
            f"impl='kernel': none of {name} serves {tensor.dtype} on {tensor.device.type}; it "
            "takes float32, and numba on a CPU or Triton on a GPU, and PSL_KERNELS not off"
        )
    return None


def catalogue_is_cheaper(num_items: int, count: int, *, gpu: bool) -> bool:
    """Whether products with all items cost less than visits to ``count`` draws a row.

    Measured: on an H200 from 64 to 4096 draws and 1024 to 8192 rows, on a CPU at 1000 draws.
    """
    return num_items <= (8 * count + 2000 if gpu else 2 * count)


def cpu_kernels(tensor: Tensor) -> ModuleType | None:
    """Return :mod:`psl.kernels.cpu` if it can work on this tensor, else ``None``.

    It takes integers and float32 on a CPU.  ``PSL_KERNELS=off`` in the environment turns it off (0,
    false and no do too), and so does ``NUMBA_DISABLE_JIT=1``.  It does not serve in a process
    forked from one that has run kernels in OpenMP's threads, as a worker of torch's ``DataLoader``.

    Raises UnknownNameError for a value of ``PSL_KERNELS`` that says neither on nor off.
    """
    usable = tensor.device.type == "cpu" and not _forked and _supports(tensor)
    return _load() if usable else None


def gpu_kernels(tensor: Tensor) -> ModuleType | None:
    """Return :mod:`psl.kernels.cuda` if it can work on this tensor, else ``None``.

    It takes integers and float32 on a CUDA device.  ``PSL_KERNELS=off`` turns it off.  For tests,
    ``TRITON_INTERPRET=1`` with ``PSL_TRITON_CPU=1``, both set before Python starts, gives it the
    tensors on a CPU, by way of Triton's slow interpreter.
    """
    if not _supports(tensor):
        return None
    if tensor.device.type == "cuda":
        return _load_cuda() if _compiles_for(tensor.device) else None
    asked = all(os.environ.get(name) == "1" for name in ("TRITON_INTERPRET", "PSL_TRITON_CPU"))
    return _load_cuda() if tensor.device.type == "cpu" and asked else None
