"""What a record is: its keys, the digest that names its run, what is wrong with one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from psl.errors import RecordError
from psl.training.provenance import SCHEMA, run_id

__all__ = ["METRICS", "check", "identity", "is_valid_filename", "non_finite_values"]

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


def is_valid_filename(name: object) -> bool:
    """Say whether a file of a folder can have this name, on any system and without being hidden."""
    if not isinstance(name, str) or not name or not name.isprintable():
        return False
    if len(name.encode()) > 100 or name[0] == "." or name[-1] in ". " or set(name) & FORBIDDEN:
        return False
    return name.split(".")[0].rstrip().upper() not in RESERVED


def identity(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return by what a run is known: its id, its data and its device."""
    return record["run_id"], record["dataset_fingerprint"], record["device"]


def check(record: Any, where: str) -> None:
    """Raise RecordError, naming the place, if a value that was read is not a record."""
    if not isinstance(record, dict):
        raise RecordError(f"{where}: not a record")
    missing = [key for key in REQUIRED if key not in record]
    if missing:
        raise RecordError(f"{where}: lacks the key {missing[0]!r}")
    for key, kinds in REQUIRED.items():
        if isinstance(record[key], bool) or not isinstance(record[key], kinds):
            raise RecordError(f"{where}: its {key} is not {KINDS.get(kinds[0], 'a number')}")
    if not is_valid_filename(record["experiment"]):
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


def non_finite_values(record: dict[str, Any]) -> list[str]:
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
