"""From a table of one's own to a train and a test set: read, cleaned, split, kept."""

from psl.datasets.splits.reading import read_table
from psl.datasets.splits.splitting import SPLITS, Cleaned, Split, k_core, prepare, split
from psl.datasets.splits.writing import archive_bytes, summary, write_archive

__all__ = [
    "SPLITS",
    "Cleaned",
    "Split",
    "archive_bytes",
    "k_core",
    "prepare",
    "read_table",
    "split",
    "summary",
    "write_archive",
]
