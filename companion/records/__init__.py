"""Run records: one JSON line a run, with everything needed to trust or repeat it."""

from companion.records.labels import differing, names
from companion.records.schema import METRICS, content_digest
from companion.records.select import by_time, find_run, has_fingerprint, of_registered_data
from companion.records.store import append, file_of, merge, problems, read
from companion.records.trials import PLACE, Trial, read_trials, save_trials, trial_files, winners
from psl.training.provenance import CODE_DIGEST, SCHEMA, digest_of, provenance, run_id

__all__ = [
    "CODE_DIGEST",
    "METRICS",
    "PLACE",
    "SCHEMA",
    "Trial",
    "append",
    "by_time",
    "content_digest",
    "differing",
    "digest_of",
    "file_of",
    "find_run",
    "has_fingerprint",
    "merge",
    "names",
    "of_registered_data",
    "problems",
    "provenance",
    "read",
    "read_trials",
    "run_id",
    "save_trials",
    "trial_files",
    "winners",
]
