"""A kernel is always run from numba's cache; what is not there yet, a child process puts there.

For a parallel loop numba stores other machine code than the process that compiled it goes on with:
sums are grouped otherwise, and last digits would tell a first run from a second.

By itself numba looks only at the file of a kernel for whether what it kept is stale.  A kernel here
calls into other files, and is compiled with the options of this one: it is kept under a digest of
all of them, and compiled anew when one has changed.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from numba import cloudpickle, njit
from numba.core.caching import FunctionCache

__all__ = ["OPTIONS", "compiled"]

OPTIONS: dict[str, Any] = {
    # Sums may be regrouped and fused; NaN and infinity keep their meaning: divergence must show.
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    # No question whether a divisor is zero: the question keeps a loop from being vectorised.
    "error_model": "numpy",
}
_CHILD = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from psl.kernels.cpu.compiling import _serve
_serve(sys.stdin.buffer, sys.stdout.buffer)
"""
_FILES = sorted(Path(__file__).parent.glob("*.py"))
SOURCE = hashlib.sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()[:16]
_one_at_a_time = threading.Lock()


class _Cache(FunctionCache):
    """numba's, with the digest in the key."""

    def _index_key(self, sig, codegen):
        return (*super()._index_key(sig, codegen), SOURCE)


def _cached(function: Callable[..., None]) -> Any:
    kernel = njit(parallel=True, **OPTIONS)(function)
    kernel._cache = _Cache(kernel.py_func)
    return kernel


def compiled(function: Callable[..., None]) -> Any:
    """Compile ``function`` with its loops over ``prange`` in parallel, as numba's ``njit`` does.

    If no child process can be had, this one compiles: the same numbers but for their last digits.
    """
    kernel = _cached(function)
    load = kernel.compile

    def compile_elsewhere(signature: tuple[Any, ...]) -> Any:
        with _one_at_a_time:
            if kernel._cache.load_overload(signature, kernel.targetctx) is None:
                _store(function, signature)
        return load(signature)

    kernel.compile = compile_elsewhere
    return kernel


def _store(function: Callable[..., None], signature: tuple[Any, ...]) -> None:
    try:
        child = _child(os.getpid())
        pickle.dump(cloudpickle.dumps((function, signature)), child.stdin)
        child.stdin.flush()
        pickle.load(child.stdout)
    except (OSError, EOFError):
        pass


@cache
def _child(parent: int) -> Any:
    """Start the process that compiles, once for a process: a fork must not share its pipes."""
    child: Any = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the parent
    )
    pickle.dump(sys.path, child.stdin)
    atexit.register(child.stdin.close)  # the child ends where its input ends
    return child


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    while True:
        try:
            function, signature = cloudpickle.loads(pickle.load(requests))
        except EOFError:
            return
        with suppress(Exception):  # the parent meets the same error, and can say where
            _cached(function).compile(signature)
        pickle.dump(None, answers)
        answers.flush()
