"""How kernels are compiled and run: always from numba's cache, in as many threads as torch.

What is not in the cache yet, a child process puts there, once for all the processes that want it:
they take turns at a kernel's files.  numba does not lock them, and of two that write at once one
may leave its machine code under the other's key.

For a parallel loop numba stores other machine code than the process that compiled it goes on with:
sums are grouped otherwise, and last digits would tell a first run from a second.

By itself numba looks only at the file of a kernel for whether what it kept is stale.  A kernel here
calls into other files and has the options of this one: it is kept under a digest of all of them.

numba tells functions of one name apart by a number, which each process counts from 1.  Another that
loads what two compiled would run one loop for the other: here each counts from a number of its own.

No public way of numba 0.68 does this.  A second ``njit(cache=True)``, in the process that compiled,
loads the file and yet runs the first code, and nothing public asks whether a signature is cached.
``numba.config.CACHE_DIR`` is that of the user's own functions too.
"""

import atexit
import hashlib
import itertools
import logging
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock
from numba import cloudpickle, get_num_threads, njit, prange, set_num_threads
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from torch import Tensor

OPTIONS: dict[str, Any] = {
    # Sums may be regrouped and fused; NaN and infinity keep their meaning: divergence must show.
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    # No question whether a divisor is zero: the question keeps a loop from being vectorised.
    "error_model": "numpy",
}
# Scratch arrays are longer than needed.  Before a vectorised loop the compiled code checks that its
# arrays are a vector's length apart, and if not adds up one by one, in another order: short
# neighbours would give other bits from call to call.
SPARE = 128
_CHILD = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from psl.kernels.cpu.compiling import _serve
_serve(sys.stdin.buffer, sys.stdout.buffer)
"""
_FILES = sorted(Path(__file__).parent.glob("*.py"))
SOURCE = hashlib.sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()[:16]
_one_at_a_time = threading.Lock()
_log = logging.getLogger(__name__)

FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(6)))
_before = torch.get_num_threads()
AVAILABLE = get_num_threads()  # starts numba's threads, and with OpenMP sets torch's number as well
torch.set_num_threads(_before)


def use_threads() -> int:
    """Give numba torch's number of threads, as far as it has them, and return it."""
    count = min(torch.get_num_threads(), AVAILABLE)
    set_num_threads(count)
    return count


def raise_if_outside(bad_id: np.ndarray, items: Tensor) -> None:
    """Raise an IndexError if a kernel met an id outside the table."""
    if bad_id[0]:
        raise IndexError(f"an item id is not in 0 .. {len(items) - 1}")


class _Impl(CompileResultCacheImpl):
    # Where nobody has a home, numba would make a folder called "~".
    _locator_classes = [  # noqa: RUF012  # as numba has it
        kind
        for kind in CompileResultCacheImpl._locator_classes
        if "UserWide" not in kind.__name__ or os.path.isabs(os.path.expanduser("~"))
    ]


class _Cache(FunctionCache):
    """numba's, with the digest in the key; no run is stopped by it."""

    _impl_class = _Impl

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), SOURCE)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # of a damaged file: unpickling raises what it likes
            _warn_once(f"the cache of compiled kernels is damaged ({_words(error)}): made anew")
            with suppress(OSError):
                os.unlink(self._cache_file._index_path)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn_once(f"compiled kernels are not kept in {self.cache_path} ({_words(error)})")


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@cache
def _warn_once(text: str) -> None:
    warnings.warn(text, stacklevel=2)


@cache
def _announce() -> None:
    _log.info("compiling the kernels for this CPU, once for each version: up to a minute")


def _parallel(share: Callable[..., None]) -> Any:
    inner = njit(**OPTIONS)(share)

    @njit(parallel=True, **OPTIONS)
    def kernel(threads, count, *arguments):
        for t in prange(threads):
            n = np.int64(t)  # unsigned inside the loop, signed around it: one type, compiled once
            inner(n * count // threads, (n + 1) * count // threads, *arguments)

    return kernel


def _cached(function: Callable[..., None], is_share: bool) -> Any:
    kernel = _parallel(function) if is_share else njit(parallel=True, **OPTIONS)(function)
    kernel._cache = _Cache(function)
    return kernel


def compiled(function: Callable[..., None], is_share: bool = False) -> Any:
    """Compile ``function`` with its loops over ``prange`` in parallel, as numba's ``njit`` does.

    If no child process can be had, this one compiles: the same numbers but for their last digits.
    """
    kernel = _cached(function, is_share)
    load = kernel.compile

    def compile_elsewhere(signature: tuple[Any, ...]) -> Any:
        with _one_at_a_time, _alone_at(kernel._cache._cache_file._index_path):
            if kernel._cache.load_overload(signature, kernel.targetctx) is None:
                _announce()
                _store(function, is_share, signature)
            return load(signature)

    kernel.compile = compile_elsewhere
    return kernel


def over_threads(share: Callable[..., None]) -> Any:
    """Compile ``share(start, end, ...)``, one thread's part of the work from 0 to ``count``.

    Returns a function of ``count`` and the rest.  numba is slow at a parallel loop of many lines,
    so here it has one.  In a short one, by :func:`compiled`, it knows that no arrays overlap.
    """
    kernel = compiled(share, is_share=True)

    def run(count: int, *arguments: Any) -> None:
        kernel(use_threads(), count, *arguments)

    return run


@contextmanager
def _alone_at(path: str) -> Iterator[None]:
    """Keep other processes from a file; go on where no lock can be had, or not within minutes."""
    with ExitStack() as held:
        with suppress(OSError, NotImplementedError):  # a folder that nobody may write to
            held.enter_context(FileLock(f"{path}.lock", timeout=120))
        yield


def _store(function: Callable[..., None], *rest: Any) -> None:
    with suppress(OSError, EOFError):
        child = _child(os.getpid())
        pickle.dump(cloudpickle.dumps((function, *rest)), child.stdin)
        child.stdin.flush()
        pickle.load(child.stdout)


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
            function, is_share, signature = cloudpickle.loads(pickle.load(requests))
        except EOFError:
            return
        with suppress(Exception):  # the parent meets the same error, and can say where
            _cached(function, is_share).compile(signature)
        pickle.dump(None, answers)
        answers.flush()
