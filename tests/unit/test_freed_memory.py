"""A command keeps the memory of one step for the next."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="glibc 2.33 counts its blocks",
)

# Blocks of their own that the system gives for one large tensor: a number that glibc counts.
WORK = """
import ctypes, sys, torch
from companion.freed_memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
class Counts(ctypes.Structure):
    _fields_ = [(str(k), ctypes.c_size_t) for k in range(10)]
count = ctypes.CDLL(None).mallinfo2
count.restype = Counts
before = getattr(count(), "3")
x = torch.empty(4096, 1000)
print(int(kept), getattr(count(), "3") - before)
"""


def blocks(word: str, **environment: str) -> tuple[int, int]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", WORK, word]
    said = subprocess.run(
        command, check=True, capture_output=True, text=True, env=own | environment
    ).stdout.split()
    return int(said[0]), int(said[1])


def test_a_large_tensor_is_no_block_of_its_own() -> None:
    assert blocks("leave") == (0, 1)
    assert blocks("keep") == (1, 0)


def test_a_setting_of_the_user_stays() -> None:
    assert blocks("keep", MALLOC_TRIM_THRESHOLD_="131072")[0] == 0
