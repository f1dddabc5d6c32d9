"""Run records: one JSON line a run, with everything needed to trust or repeat it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from psl.errors import RecordError

__all__ = ["append", "code_digest", "provenance", "read", "replace_file", "run_id", "select"]

REQUIRED = ("run_id", "experiment", "config", "dataset_fingerprint", "metrics", "created")


def run_id(config: dict[str, Any]) -> str:
    """Return the digest of a configuration's canonical JSON, 16 hexadecimal digits."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest() -> str:
    """Return the SHA-256 over the module's Python files, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def provenance() -> dict[str, Any]:
    """Return versions, code digest and time, for a record."""
    versions = {"python": platform.python_version()}
    for package in ("psl", "torch", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # used from a checkout that is not installed
            versions[package] = "not installed"
    return {
        "versions": versions,
        "code_digest": code_digest(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a record; one of the same run id, data and device is replaced.

    Raises
    ------
    RecordError
        If the record lacks a required key or holds a number that is not finite.
    """
    _check(record, "the new record")
    with _lock(path):
        kept = [r for r in read(path) if _identity(r) != _identity(record)] if path.exists() else []
        try:
            lines = [json.dumps(r, sort_keys=True, allow_nan=False) for r in (*kept, record)]
        except ValueError as error:
            raise RecordError(
                f"the new record holds a number that is not finite ({error})"
            ) from error
        replace_file(path, ("\n".join(lines) + "\n").encode())


def read(path: Path) -> list[dict[str, Any]]:
    """Read a file, or every ``*.jsonl`` of a folder, in order.

    Raises
    ------
    RecordError
        If there is none, or a line is not a record.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise RecordError(f"no run record at {path}; `psl train` writes them")
    out = []
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise RecordError(f"{file}: not a text file ({error.reason})") from error
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise RecordError(f"{file}:{number}: not JSON ({error.msg})") from error
            _check(record, f"{file}:{number}")
            out.append(record)
    return out


def select(records: Iterable[dict[str, Any]], **config: Any) -> list[dict[str, Any]]:
    """Return the records whose configuration has these values."""
    return [r for r in records if all(r["config"].get(k) == v for k, v in config.items())]


def _identity(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["run_id"], record["dataset_fingerprint"], record.get("device")


def _check(record: Any, where: str) -> None:
    if not isinstance(record, dict):
        raise RecordError(f"{where}: not a record")
    missing = [key for key in REQUIRED if key not in record]
    if missing:
        raise RecordError(f"{where}: lacks the key {missing[0]!r}")
    if record["run_id"] != run_id(record["config"]):
        raise RecordError(f"{where}: its run_id is not the digest of its config")
    bad = [k for k, v in record["metrics"].items() if not (isinstance(v, float) and 0 <= v <= 1)]
    if bad:
        raise RecordError(f"{where}: metric {bad[0]} is not a number in [0, 1]")


@contextmanager
def _lock(path: Path) -> Any:
    """Hold an exclusive lock beside the file, where the platform has one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows: one process writes
        yield
        return
    with open(path.parent / f".{path.name}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
