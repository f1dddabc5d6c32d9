"""Named datasets registered, fetched, verified and loaded; a table of one's own split and kept."""

from companion.datasets.archive_writing import archive_bytes, summary, write_archive
from companion.datasets.fetching import archives_here, cache_folder, fetch, unreachable
from companion.datasets.generated import synthetic, synthetic_dataset
from companion.datasets.loading import id_lists, load, read_archive
from companion.datasets.own_table import read_table
from companion.datasets.registry import DATASETS, Source, get_source
from companion.datasets.splitting import SPLITS, Cleaned, Split, k_core, prepare, split

__all__ = [
    "DATASETS",
    "SPLITS",
    "Cleaned",
    "Source",
    "Split",
    "archive_bytes",
    "archives_here",
    "cache_folder",
    "fetch",
    "get_source",
    "id_lists",
    "k_core",
    "load",
    "prepare",
    "read_archive",
    "read_table",
    "split",
    "summary",
    "synthetic",
    "synthetic_dataset",
    "unreachable",
    "write_archive",
]
