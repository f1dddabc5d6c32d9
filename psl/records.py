"""Run records: one JSON line a run, with everything needed to trust or repeat it."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from psl.datasets import DATASETS, stored_setting
from psl.errors import RecordError
from psl.files import replace_file

__all__ = [
    "METRICS",
    "SCHEMA",
    "append",
    "by_time",
    "code_digest",
    "digest_of",
    "file_of",
    "merge",
    "of_registered_data",
    "problems",
    "provenance",
    "read",
    "run_id",
]

# Version of a record's keys, in its key ``schema``; one without that key is of version 1.
SCHEMA = 2
# What every record has, and of which kind: whoever reads one may count on it.
REQUIRED: dict[str, tuple[type, ...]] = {
    "run_id": (str,),
    "experiment": (str,),
    "config": (dict,),
    "dataset_fingerprint": (str,),
    "metrics": (dict,),
    "validation_curve": (list,),
    "best_epoch": (int,),
    "seconds": (int, float),
    "device": (str,),
    "created": (str,),
}
REQUIRED_CONFIG = ("dataset", "setting", "backbone", "loss", "seed", "protocol", "epochs")
METRICS = ("recall@20", "ndcg@20")  # what the paper prints; every record has them
# What Windows takes in no file name, and what it takes for a device whatever the ending.
FORBIDDEN = set('<>:"/\\|?*')
RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
RESERVED |= {port + number for port in ("COM", "LPT") for number in "0123456789¹²³"}
KINDS: dict[type, str] = {dict: "a table of names and values", list: "a list", str: "text"}


def run_id(config: dict[str, Any]) -> str:
    """Return the digest of a configuration's canonical JSON, 16 hexadecimal digits."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of(folder: Path) -> str:
    """Return the SHA-256 over the Python files below a folder, names and content, 16 digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder).as_posix()
        digest.update(f"{place} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


# Taken when the module is imported: a file that is edited while a run goes on is not what runs.
_CODE = digest_of(Path(__file__).parent)


def code_digest() -> str:
    """Return the digest of the module's Python files as they were when it was imported."""
    return _CODE


def provenance() -> dict[str, Any]:
    """Return where a result comes from, for a record.

    Returns
    -------
    dict
        ``schema``, the version of a record's keys; ``versions`` of Python, psl, torch and NumPy;
        ``code_digest``, by which two runs of the same module can be told from runs of two: the
        SHA-256 (16 digits) over the path and content of each of its Python files, taken at import;
        ``created``, the time in UTC.
    """
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


def file_of(folder: Path, experiment: object) -> Path:
    """Return the file of an experiment's records, ``<folder>/<experiment>.jsonl``.

    Raises
    ------
    RecordError
        If the name is not one that a file of the folder can have.
    """
    if not _names_a_file(experiment):
        raise RecordError(f"the experiment {experiment!r} is not a file name")
    return folder / f"{experiment}.jsonl"


def append(path: Path, record: dict[str, Any], *, replace: bool = False) -> None:
    """Add a record to a file.

    A run is known by its id, its data and its device: on another device it is another one.  The
    same run with the same metrics takes the place of the one that is there.

    Parameters
    ----------
    path : Path
    record : dict
    replace : bool
        Whether the same run with *other* metrics does so too.

    Raises
    ------
    RecordError
        If the record is malformed or holds a number that is not finite, or the file has the same
        run with other metrics and ``replace`` is not given; nothing is written then.
    """
    _check(record, "the new record")
    with _lock(path):
        there = list(_entries(path)) if path.exists() else []
        for where, known in there:
            same = _identity(known) == _identity(record)
            if same and known["metrics"] != record["metrics"] and not replace:
                raise RecordError(
                    f"{where}: the same run ({record['run_id']}, same data and device) is there "
                    "with other metrics. Nothing was written; to take the new result: "
                    "replace=True, or psl train --resume --replace"
                )
        kept = [known for _, known in there if _identity(known) != _identity(record)]
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


def of_registered_data(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records that count for the paper: those of no other data than the registered.

    Where no fingerprint is registered, as for generated data, every record counts.
    """
    out = []
    for record in records:
        config = record["config"]
        source = DATASETS.get((config["dataset"], stored_setting(config["setting"])))
        known = source.fingerprint if source else None
        if known in (None, record["dataset_fingerprint"]):
            out.append(record)
    return out


def by_time(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort records by when they were made: of one run on several devices the last one counts."""
    return sorted(records, key=lambda r: str(r["created"]))


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
    targets = {file_of(into, record["experiment"]).resolve() for _, record in arriving}
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
                new.setdefault(file_of(into, record["experiment"]), []).append(record)
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


def _flaws(record: dict[str, Any]) -> list[str]:
    """Name the values that are not finite numbers."""

    def walk(value: Any, name: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{name}.{key}" if name else key)
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                yield from walk(inner, f"{name}[{number}]")
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{name} is not a finite number"

    return list(walk(record, ""))


def _identity(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["run_id"], record["dataset_fingerprint"], record["device"]


def _check(record: Any, where: str) -> None:
    if not isinstance(record, dict):
        raise RecordError(f"{where}: not a record")
    missing = [key for key in REQUIRED if key not in record]
    if missing:
        raise RecordError(f"{where}: lacks the key {missing[0]!r}")
    for key, kinds in REQUIRED.items():
        if isinstance(record[key], bool) or not isinstance(record[key], kinds):
            raise RecordError(f"{where}: its {key} is not {KINDS.get(kinds[0], 'a number')}")
    if not _names_a_file(record["experiment"]):
        raise RecordError(f"{where}: the experiment {record['experiment']!r} is not a file name")
    for key, names in (("config", REQUIRED_CONFIG), ("metrics", METRICS)):
        missing = [name for name in names if name not in record[key]]
        if missing:
            raise RecordError(f"{where}: its {key} lacks {missing[0]!r}")
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


def _names_a_file(name: object) -> bool:
    """Say whether a file of a folder can have this name, on any system and without being hidden."""
    if not isinstance(name, str) or not name or not name.isprintable():
        return False
    if len(name.encode()) > 100 or name[0] == "." or name[-1] in ". " or set(name) & FORBIDDEN:
        return False
    return name.split(".")[0].rstrip().upper() not in RESERVED


@contextmanager
def _lock(path: Path) -> Any:
    """Hold an exclusive lock beside the file, where the platform has one.

    It lies beside what a link leads to: whoever takes either name waits for the other.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows: one process writes
        yield
        return
    with open(path.parent / f".{path.name}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
