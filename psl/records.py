"""Run records: one JSON line a run, with everything needed to trust or repeat it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from psl.errors import RecordError

__all__ = [
    "SCHEMA",
    "append",
    "code_digest",
    "merge",
    "problems",
    "provenance",
    "read",
    "replace_file",
    "run_id",
    "select",
]

# Version of a record's keys, in its key ``schema``; one without that key is of version 1.
SCHEMA = 2
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
    """Return schema, versions, code digest and time, for a record."""
    versions = {"python": platform.python_version()}
    for package in ("psl", "torch", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # used from a checkout that is not installed
            versions[package] = "not installed"
    return {
        "schema": SCHEMA,
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
            content = _dump([*kept, record])
        except ValueError as error:
            raise RecordError(
                f"the new record holds a number that is not finite ({error})"
            ) from error
        replace_file(path, content)


def read(path: Path) -> list[dict[str, Any]]:
    """Read a file, or every ``*.jsonl`` of a folder, in order.

    Raises
    ------
    RecordError
        If there is none, or a line is not a record.
    """
    return [record for _, record in _entries(path)]


def select(records: Iterable[dict[str, Any]], **config: Any) -> list[dict[str, Any]]:
    """Return the records whose configuration has these values."""
    return [r for r in records if all(r["config"].get(k) == v for k, v in config.items())]


def merge(sources: Iterable[Path], into: Path) -> dict[Path, int]:
    """Take the records of files (or folders) into a folder; return how many each file gained.

    A record goes into ``<its experiment>.jsonl``.  One that is there already, in whichever file of
    the folder, is left as it is.

    Raises
    ------
    RecordError
        If a record is malformed, or one run on the same data and device has two results; nothing
        is written then.
    """
    arriving = [entry for source in sources for entry in _entries(source)]
    for where, record in arriving:
        for what in _flaws(record):
            raise RecordError(f"{where}: {what}")
    targets = {_target(into, record, where) for where, record in arriving}
    with ExitStack() as locks:
        for path in sorted(targets):
            locks.enter_context(_lock(path))
        present = list(_entries(into)) if any(into.glob("*.jsonl")) else []
        seen = {_identity(record): (where, record) for where, record in present}
        new: dict[Path, list[dict[str, Any]]] = {}
        for where, record in arriving:
            there, known = seen.setdefault(_identity(record), (where, record))
            if known["metrics"] != record["metrics"]:
                raise RecordError(
                    f"{where} and {there}: the same run ({record['run_id']}, same data and "
                    "device) with different metrics; delete one line. Nothing was written"
                )
            if known is record:
                new.setdefault(_target(into, record, where), []).append(record)
        for path, records in sorted(new.items()):
            replace_file(path, _dump([*(read(path) if path.exists() else []), *records]))
    return {path: len(records) for path, records in sorted(new.items())}


def problems(path: Path, load: Callable[[dict[str, Any]], object]) -> list[str]:
    """Return what is wrong in a file or folder beyond what :func:`read` refuses, by file and line.

    Numbers must be finite, no two records may be of one run on the same data and device, and
    ``load`` must take each configuration (it raises otherwise).
    """
    found: list[str] = []
    seen: dict[tuple[Any, ...], str] = {}
    for where, record in _entries(path):
        found += [f"{where}: {what}" for what in _flaws(record)]
        try:
            load(record["config"])
        except Exception as error:  # whatever a configuration does to its reader
            found.append(f"{where}: the configuration does not load ({error})")
        first = seen.setdefault(_identity(record), where)
        if first != where:
            found.append(f"{where}: the run {record['run_id']} of {first} again")
    return found


def _dump(records: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps(r, sort_keys=True, allow_nan=False) for r in records]
    return ("\n".join(lines) + "\n").encode()


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read records with their place, ``file:line``."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise RecordError(f"no run record at {path}; `psl train` writes them")
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
            yield f"{file}:{number}", record


def _target(into: Path, record: dict[str, Any], where: str) -> Path:
    name = record["experiment"]
    if not isinstance(name, str) or Path(name).name != name:
        raise RecordError(f"{where}: the experiment {name!r} is not a file name")
    return into / f"{name}.jsonl"


def _flaws(record: dict[str, Any]) -> list[str]:
    """Name the values that are not finite numbers, and metrics that are none at all."""

    def walk(value: Any, name: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{name}.{key}" if name else key)
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                yield from walk(inner, f"{name}[{number}]")
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{name} is not a finite number"

    return [*walk(record, ""), *([] if record["metrics"] else ["no metric"])]


def _identity(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["run_id"], record["dataset_fingerprint"], record.get("device")


def _check(record: Any, where: str) -> None:
    if not isinstance(record, dict):
        raise RecordError(f"{where}: not a record")
    missing = [key for key in REQUIRED if key not in record]
    if missing:
        raise RecordError(f"{where}: lacks the key {missing[0]!r}")
    for key in ("config", "metrics"):
        if not isinstance(record[key], dict):
            raise RecordError(f"{where}: its {key} is not a table of names and values")
    if record["run_id"] != run_id(record["config"]):
        raise RecordError(f"{where}: its run_id is not the digest of its config")
    schema = record.get("schema", 1)
    if schema not in range(1, SCHEMA + 1):
        raise RecordError(
            f"{where}: schema {schema!r} is not known; this version of psl reads 1 to {SCHEMA}"
        )
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
