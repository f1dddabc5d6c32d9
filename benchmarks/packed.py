"""Several runs on one GPU at once: how many epochs a second they give together."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.trainer import likeness
from psl.training import Progress, RunConfig, train

PROCESSES = (1, 2, 4)
WAIT_SECONDS = 240
EPOCHS = 12  # timed, after one that compiles and before one that is validated


def packed(device: str, told: Callable[[str], object]) -> list[dict[str, Any]]:
    """Train matrix factorisation with PSL-relu in one process, in two at once, and in more."""
    spawn, out = multiprocessing.get_context("spawn"), []
    for count in PROCESSES:
        together, times = spawn.Barrier(count), spawn.Queue()
        runs = [
            spawn.Process(target=_run, args=(seed, device, together, times), daemon=True)
            for seed in range(count)
        ]
        for run in runs:
            run.start()
        spans = [times.get(timeout=WAIT_SECONDS) for _ in runs]  # or one of them has failed
        for run in runs:
            run.join()
        spent = max(end for _, end in spans) - min(begin for begin, _ in spans)
        speed = count * EPOCHS / spent
        out.append({"processes": count, "epochs_per_second": speed})
        told(f"{count} at once: {speed:.1f} epochs a second")
    return out


def _run(seed: int, device: str, together: Any, times: Any) -> None:
    data, marks, last = likeness(), [], EPOCHS + 2
    config = RunConfig(dataset=data.name, seed=seed, epochs=last, validate_every=last)

    def watch(p: Progress) -> None:
        if p.loss is None or p.epoch not in (1, last - 1):
            return
        torch.cuda.synchronize(device)
        if p.epoch == 1:
            together.wait(WAIT_SECONDS)
        marks.append(time.perf_counter())  # one clock for all processes of a machine

    train(config, data, device=device, progress=watch)
    times.put(tuple(marks))
