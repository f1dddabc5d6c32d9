"""Python, PyTorch, and the packages that the extras bring."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

import torch

from companion.doctor.findings import Finding

__all__ = ["software_findings"]

FIRST, BEYOND = (3, 11), (3, 14)
NEEDED = ("", "fast", "train", "companion")  # extras, and what a plain install brings
OPTIONAL = {
    "tune": "psl tune",
    "parquet": "tables and lists in Parquet",
    "ray": "psl run --engine ray",
}


def software_findings() -> Iterator[Finding]:
    """Look at versions."""
    python = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    if FIRST <= sys.version_info < BEYOND:
        yield Finding("Python", "ok", python)
    else:
        yield Finding("Python", "fail", python, "use Python 3.11, 3.12 or 3.13")
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs"
    yield Finding("PyTorch", "ok", f"{torch.__version__}, built for {built}")
    yield _packages()
    yield _extras()


def _requirements(extras: tuple[str, ...]) -> dict[str, str]:
    """Return the packages of some extras, and the least version of each."""
    out = {}
    for line in requires("psl") or []:
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if (extra[1] if extra else "") in extras and not line.startswith("psl"):
            name = re.split(r"[^\w.-]", line)[0]
            least = re.search(r">=([\d.]+)", line)
            out[name] = least[1] if least else ""
    return out


def _packages() -> Finding:
    missing, old = [], []
    needed = _requirements(NEEDED)
    for name, least in needed.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        if _numbers(found) < _numbers(least):
            old.append(f"{name} {found} (wanted: {least})")
    remedy = "pip install -U 'psl[companion]', or `make install` in a clone"
    if missing:
        return Finding("packages", "fail", f"not installed: {', '.join(missing)}", remedy)
    if old:
        return Finding("packages", "warn", f"too old: {', '.join(old)}", remedy)
    return Finding("packages", "ok", f"{len(needed)} of psl[companion], all new enough")


def _extras() -> Finding:
    """Say which optional extras are there; none has to be."""
    has: list[str] = []
    lacks: list[str] = []
    for extra, what in OPTIONAL.items():
        packages = _requirements((extra,))
        there = bool(packages) and all(map(_is_installed, packages))
        (has if there else lacks).append(extra if there else f"{extra} ({what})")
    text = f"installed: {', '.join(has) or 'none'}"
    text += f"; not installed: {', '.join(lacks)}" if lacks else ""
    return Finding("optional extras", "ok", text)


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
