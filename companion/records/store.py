"""Files of records: added to, read, merged, looked through.  A write is whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from companion.locks import exclusive
from companion.records.schema import check, content_digest, identity, is_valid_filename, parse
from psl.errors import RecordError
from psl.files import replace_file

__all__ = ["append", "file_of", "merge", "problems", "read"]


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


def append(path: Path | str, record: dict[str, Any], *, replace: bool = False) -> dict[str, Any]:
    """Add a record to a file; return it with the digest of its content, as it stands there.

    A run is known by its experiment, its id, its data and its device: on another device it is
    another one.  The same run with the same metrics takes the place of the one that is there, and
    keeps in ``first_seen`` when that was made: a question asked in between is not blind.

    Parameters
    ----------
    path : Path
    record : dict
    replace : bool
        Whether the same run with *other* metrics does so too.

    Raises
    ------
    RecordError
        If the record is not one, or the file has the same run with other metrics and ``replace``
        is not given; nothing is written then.
    """
    try:
        record = {"digest": content_digest(record)} | record
    except (TypeError, ValueError) as error:  # a number of numpy's, a circle
        raise RecordError(f"the new record holds what JSON has not ({error})") from error
    check(record, "the new record")
    path = Path(path)
    with exclusive(path):
        there = _entries(path) if path.exists() else []
        for where, known in there:
            same = identity(known) == identity(record)
            if same and known["metrics"] != record["metrics"] and not replace:
                raise RecordError(
                    f"{where}: the same run ({record['run_id']}, same data and device) is there "
                    "with other metrics. Nothing was written; to take the new result: "
                    "replace=True, or psl train --resume --replace"
                )
        replaced = [known for _, known in there if identity(known) == identity(record)]
        first = min(map(_seen_since, (*replaced, record)))
        if first < _seen_since(record):  # the result of a run that is made again may have been seen
            record |= {"first_seen": first}
            record |= {"digest": content_digest(record)}
        kept = [known for _, known in there if identity(known) != identity(record)]
        replace_file(path, _dump([*kept, record]))
    return record


def _seen_since(record: dict[str, Any]) -> str:
    return str(record.get("first_seen") or record["created"])


def read(path: Path | str) -> list[dict[str, Any]]:
    """Read a file, or every ``*.jsonl`` of a folder, in order; none where there is no such folder.

    Raises
    ------
    RecordError
        If a line is not a record or one run stands there twice, naming file and line; or there is
        no such file.
    """
    return [record for _, record in _entries(Path(path))]


def merge(sources: Iterable[Path | str], into: Path | str) -> dict[Path, int]:
    """Take the records of files (or folders) into a folder; return how many each file gained.

    A record goes into ``<its experiment>.jsonl``.  One that is there already, in whichever file of
    the folder, is left as it is.

    Raises
    ------
    RecordError
        If a record is malformed, or one run on the same data and device has two results in one
        experiment; nothing is written then.
    """
    into, arriving = Path(into), []
    for source in map(Path, sources):
        if not source.exists():
            raise RecordError(f"{source}: there is no such file or folder")
        if not (found := _entries(source)):
            raise RecordError(f"{source}: there is no record in it")
        arriving += found
    targets = {file_of(into, record["experiment"]).resolve() for _, record in arriving}
    with ExitStack() as locks:
        for path in sorted(targets):
            locks.enter_context(exclusive(path))
        seen = {identity(record): (where, record) for where, record in _entries(into)}
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


def problems(path: Path | str) -> list[str]:
    """Return everything for which :func:`read` refuses a file or folder, by file and line."""
    return _survey(Path(path))[1]


def _dump(records: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps(r, sort_keys=True, allow_nan=False) for r in records]
    return ("\n".join(lines) + "\n").encode()


def _entries(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read records with their place, ``file:line``; RecordError if anything is wrong."""
    entries, wrong = _survey(path)
    if wrong:
        raise RecordError(wrong[0])
    return entries


def _survey(path: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """Read what is a record, with its place, and name all that is wrong."""
    if not path.exists() and path.suffix == ".jsonl":
        raise RecordError(f"{path}: there is no such file; `psl train` writes one")
    entries, wrong = [], []
    seen: dict[tuple[Any, ...], str] = {}
    files = [path] if path.is_file() else sorted(path.glob("*.jsonl"))
    for file in {file.resolve(): file for file in files}.values():  # two links to one are one
        if not file.is_file():  # a pipe would be waited for
            wrong.append(f"{file}: it is no file")
            continue
        for number, line in enumerate(file.read_bytes().splitlines(), start=1):
            where = f"{file}:{number}"
            try:
                record = parse(line, where)
            except RecordError as error:
                wrong.append(str(error))
                continue
            entries.append((where, record))
            first = seen.setdefault(identity(record), where)
            if first != where:
                wrong.append(f"{where}: the run {record['run_id']} of {first} again")
    return entries, wrong
