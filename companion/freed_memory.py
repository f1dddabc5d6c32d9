"""Freed memory that a process keeps, because its next step asks for as much again."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["keep_freed_memory"]

# Of glibc's malloc.h: what it does with a request of so many bytes or more, and with free memory.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST = 32 << 20  # the most that glibc takes for a threshold of the second kind
KEPT = 256 << 20


def keep_freed_memory() -> bool:
    """Let glibc keep up to 256 MiB of freed memory; return whether it does from now on.

    A loss without a kernel makes a dozen temporary tensors of the size of its scores.  By default
    each of some MiB is fresh memory of the system, page by page, which was measured to be up to a
    quarter of the time of such a loss on a CPU.  The numbers are the same.  Whoever has set one of
    glibc's own variables, or has another library, keeps what there is.
    """
    own = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in own):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(what, bytes_) == 1
        for what, bytes_ in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, KEPT))
    )
