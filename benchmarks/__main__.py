"""Speed and memory against plain references, as ratios, and the limits of the machine.

Every comparison gets the same embeddings and the same sampled negatives, and the values are
compared first.  Times are taken in turns, so that both sides see the same machine; memory is what
one pass adds, on a CPU to a process of its own.

Run: ``python -m benchmarks [--only case curves trainer packed library] [--output FILE]
[--device cuda]``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.curves import curves
from benchmarks.implementations import IMPLEMENTATIONS, ours
from benchmarks.library import bpr_epochs, graph_steps, lightgcn_step, ranking
from benchmarks.measure import in_turns, machine, peak_bytes
from benchmarks.packed import packed
from benchmarks.problem import Problem, Size
from benchmarks.trainer import epochs, evaluation
from companion.locks import write
from companion.records import provenance
from companion.speed import COMPARED, goals

PARTS = ("case", "curves", "trainer", "packed", "library")
out = Console(stderr=True)


def case(size: Size, device: str, repeat: int) -> dict[str, Any]:
    """Compare ours with each plain one: loss and gradient, a whole step, memory."""
    problem = Problem(size, device)
    result: dict[str, Any] = {**size.as_dict(), "flops": size.flops, COMPARED: {}}
    for name, baseline in IMPLEMENTATIONS.items():
        if baseline is ours:
            continue
        torch.testing.assert_close(
            problem.gradient(ours), problem.gradient(baseline), rtol=1e-5, atol=1e-5
        )
        measured: dict[str, Any] = {
            key: in_turns(partial(work, baseline), partial(work, ours), problem.device, repeat)
            for key, work in (("gradient", problem.gradient), ("step", problem.step))
        }
        if device != "cpu" or Path("/proc/self/clear_refs").exists():
            plain, fast = (_memory(side, size, device) for side in (name, "ours"))
            bytes_ = {"plain_bytes": plain, "ours_bytes": fast, "ratio": plain / max(fast, 1)}
            measured["memory"] = bytes_
        result[COMPARED][name] = measured
    return result


def _memory(name: str, size: Size, device: str) -> int:
    """Measure one implementation, on a CPU in a process of its own."""
    if device != "cpu":
        return _memory_of(name, size, device)
    words = [f"--{k}={v}" for k, v in size.as_dict().items() if k != "users"]
    command = [sys.executable, "-m", "benchmarks", *words, "--device", device, "--memory-of", name]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _memory_of(name: str, size: Size, device: str) -> int:
    problem = Problem(size, device, replayed=False)
    few = Size(2, size.negatives, size.items, size.dim)
    Problem(few, device, replayed=False).gradient(IMPLEMENTATIONS[name])  # compiles
    return peak_bytes(lambda: problem.gradient(IMPLEMENTATIONS[name]), problem.device)


def show(result: dict[str, Any]) -> None:
    """Print what was measured."""
    m, table = result["machine"], Table("", "plain", "ours", "ratio")
    for name, row in _rows(result):
        if "plain_bytes" in row:
            sides = [f"{row[k] / 2**20:,.0f} MiB" for k in ("plain_bytes", "ours_bytes")]
        else:
            sides = [f"{row[k] * 1e3:,.2f} ms" for k in ("plain_seconds", "ours_seconds")]
        table.add_row(name, *sides, f"{row['ratio']:.1f}")
    out.print(
        f"{m['device']}, {m['threads']} threads: {m['flops_per_second'] / 1e9:.0f} GFLOP/s, "
        f"{m['bytes_per_second'] / 1e9:.1f} GB/s"
    )
    out.print(table)
    for g in result["goals"]:
        word = "met" if g["met"] else "missed"
        out.print(f"goal: {g['goal']}: {g['found']:.2f}, at least {g['least']:.2f}: {word}")
    for e in result.get("epochs", []):
        out.print(
            f"epoch {e['dataset']} {e['backbone']} {e['loss']}: {e['seconds']:.2f} s "
            f"({e['steps']} steps)"
        )
    for p in result.get("packed", []):
        out.print(f"{p['processes']} at once: {p['epochs_per_second']:.1f} epochs a second")
    if "evaluation" in result:
        out.print("evaluation: {users:,} users in {seconds:.2f} s".format(**result["evaluation"]))


def _rows(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    names = {"gradient": "loss and gradient", "step": "whole step", "memory": "memory of a pass"}
    rows = [
        (f"{name}: {names[key]}", row)
        for name, measured in result.get("case", {}).get(COMPARED, {}).items()
        for key, row in measured.items()
    ]
    return rows + [(f"{r['library']}, {r['work']}", r) for r in result.get("libraries", [])]


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("batch", "negatives", "items", "dim"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Size(), name))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=["case"])
    parser.add_argument("--all", dest="only", action="store_const", const=list(PARTS))
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="Also write the numbers there, as JSON.")
    parser.add_argument("--memory-of", choices=IMPLEMENTATIONS, help=argparse.SUPPRESS)
    a = parser.parse_args()
    size = Size(a.batch, a.negatives, a.items, a.dim)
    if a.memory_of:
        print(_memory_of(a.memory_of, size, a.device))
        return
    told = lambda text: out.print(text, style="dim")  # noqa: E731
    result: dict[str, Any] = {"machine": machine(torch.device(a.device)), **provenance()}
    if "case" in a.only:
        result["case"] = case(size, a.device, a.repeat)
    if "curves" in a.only:
        result["curves"] = curves(a.device, a.repeat, told)
    if "trainer" in a.only:
        result["epochs"] = epochs(a.device, told)
        result["evaluation"] = evaluation(a.device, a.repeat)
    if "packed" in a.only and a.device != "cpu":
        result["packed"] = packed(a.device, told)
    if "library" in a.only and a.device == "cpu":
        graphs = [lightgcn_step(a.repeat), *graph_steps(a.repeat)]
        result["libraries"] = graphs + ranking(a.repeat, told) + bpr_epochs(a.repeat, told)
    result["goals"] = goals(result)
    show(result)
    if a.output is not None:
        write(a.output, (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
