"""Files of records: added to, read, merged, looked through.  A write is whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from companion.records.schema import check, identity, is_valid_filename, non_finite_values
from psl.errors import RecordError
from psl.files import replace_file

__all__ = ["append", "file_of", "merge", "read", "validate"]


def file_of(folder: Path | str, experiment: object) -> Path:
    """Return the file of an experiment's records, ``<folder>/<experiment>.jsonl``.

    Raises
    ------
    RecordError
        If the name is not one that a file of the folder can have.
    """
    if not is_valid_filename(experiment):
        raise RecordError(f"the experiment {experiment!r} is not a file name")
    return Path(folder) / f"{experiment}.jsonl"


def append(path: Path | str, record: dict[str, Any], *, replace: bool = False) -> None:
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
    check(record, "the new record")
    path = Path(path)
    with _lock(path):
        there = list(_entries(path)) if path.exists() else []
        for where, known in there:
            same = identity(known) == identity(record)
            if same and known["metrics"] != record["metrics"] and not replace:
                raise RecordError(
                    f"{where}: the same run ({record['run_id']}, same data and device) is there "
                    "with other metrics. Nothing was written; to take the new result: "
                    "replace=True, or psl train --resume --replace"
                )
        kept = [known for _, known in there if identity(known) != identity(record)]
        try:
            content = _dump([*kept, record])
        except ValueError as error:
            raise RecordError(
                f"the new record holds a number that is not finite ({error})"
            ) from error
        except TypeError as error:  # a number of numpy's, say
            raise RecordError(f"the new record holds what JSON has not ({error})") from error
        replace_file(path, content)


def read(path: Path | str) -> list[dict[str, Any]]:
    """Read a file, or every ``*.jsonl`` of a folder, in order.

    Raises
    ------
    RecordError
        If there is none, or a line is not a record.
    """
    return [record for _, record in _entries(Path(path))]


def merge(sources: Iterable[Path | str], into: Path | str) -> dict[Path, int]:
    """Take the records of files (or folders) into a folder; return how many each file gained.

    A record goes into ``<its experiment>.jsonl``.  One that is there already, in whichever file of
    the folder, is left as it is.

    Raises
    ------
    RecordError
        If a record is malformed, or one run on the same data and device has two results; nothing
        is written then.
    """
    into = Path(into)
    arriving = [entry for source in sources for entry in _entries(Path(source))]
    for where, record in arriving:
        for what in non_finite_values(record):
            raise RecordError(f"{where}: {what}")
    targets = {file_of(into, record["experiment"]).resolve() for _, record in arriving}
    with ExitStack() as locks:
        for path in sorted(targets):
            locks.enter_context(_lock(path))
        present = list(_entries(into)) if any(into.glob("*.jsonl")) else []
        seen = {identity(record): (where, record) for where, record in present}
        new: dict[Path, list[dict[str, Any]]] = {}
        for where, record in arriving:
            there, known = seen.setdefault(identity(record), (where, record))
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


def validate(path: Path | str, load: Callable[[dict[str, Any]], object]) -> list[str]:
    """Return what is wrong in a file or folder beyond what :func:`read` refuses, by file and line.

    Numbers must be finite, no two records may be of one run on the same data and device, and
    ``load`` must take each configuration (it raises otherwise).
    """
    found: list[str] = []
    seen: dict[tuple[Any, ...], str] = {}
    for where, record in _entries(Path(path)):
        found += [f"{where}: {what}" for what in non_finite_values(record)]
        try:
            load(record["config"])
        except Exception as error:  # whatever a configuration does to its reader
            found.append(f"{where}: the configuration does not load ({error})")
        first = seen.setdefault(identity(record), where)
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
            check(record, f"{file}:{number}")
            yield f"{file}:{number}", record


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
