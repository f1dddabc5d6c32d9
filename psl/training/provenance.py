"""What names a run and where its result comes from: configuration, code, versions, time."""

import hashlib
import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["CODE_DIGEST", "SCHEMA", "digest_of", "provenance", "run_id"]

SCHEMA = 3  # version of a record's keys, in its key ``schema``


def run_id(config: dict[str, Any]) -> str:
    """Return the digest of a configuration's canonical JSON, 16 hexadecimal digits."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of(folder: Path) -> str:
    """Return the SHA-256 over the Python files below a folder, names and content, 16 digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


# Taken when the module is imported: a file that is edited while a run goes on is not what runs.
CODE_DIGEST = digest_of(Path(__file__).parents[1])


def provenance() -> dict[str, Any]:
    """Return where a result comes from, for a record.

    Returns
    -------
    dict
        ``schema``, the version of a record's keys; ``versions`` of Python, psl, torch and NumPy;
        ``code_digest``, :func:`digest_of` the module as it was imported; ``created``, in UTC.
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
        "code_digest": CODE_DIGEST,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
