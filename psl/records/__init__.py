"""Run records: one JSON line a run, with everything needed to trust or repeat it."""

from psl.records.choice import by_time, has_fingerprint, of_registered_data
from psl.records.naming import differing, names
from psl.records.origin import code_digest, digest_of, provenance
from psl.records.schema import METRICS, SCHEMA, run_id
from psl.records.store import append, file_of, merge, problems, read

__all__ = [
    "METRICS",
    "SCHEMA",
    "append",
    "by_time",
    "code_digest",
    "differing",
    "digest_of",
    "file_of",
    "has_fingerprint",
    "merge",
    "names",
    "of_registered_data",
    "problems",
    "provenance",
    "read",
    "run_id",
]
