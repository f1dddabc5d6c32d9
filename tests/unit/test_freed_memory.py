"""A command keeps the memory of one step for the next."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")

# Pages that the system hands out while large tensors are made and dropped.
WORK = """
import resource, sys, torch
from companion.freed_memory import keep_freed_memory
torch.set_num_threads(1)
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
x = torch.zeros(1024, 1000)
def work():
    return ((x + 1) * 2 - x).sum()
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(word: str, **environment: str) -> tuple[int, int]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", WORK, word]
    said = subprocess.run(
        command, check=True, capture_output=True, text=True, env=own | environment
    ).stdout.split()
    return int(said[0]), int(said[1])


def test_large_tensors_are_not_fetched_from_the_system_again() -> None:
    (_, usual), (kept, found) = pages("leave"), pages("keep")
    assert kept == 1 and 5 * found < usual and usual > 100


def test_a_setting_of_the_user_stays() -> None:
    assert pages("keep", MALLOC_TRIM_THRESHOLD_="131072")[0] == 0
