"""Named datasets: registered, fetched and verified, loaded."""

from psl.datasets.fetching import cache_folder, fetch, unreachable
from psl.datasets.loading import Dataset, id_lists, load, read_archive
from psl.datasets.registry import DATASETS, Source, get_source, stored_setting
from psl.datasets.synthetic import synthetic

__all__ = [
    "DATASETS",
    "Dataset",
    "Source",
    "cache_folder",
    "fetch",
    "get_source",
    "id_lists",
    "load",
    "read_archive",
    "stored_setting",
    "synthetic",
    "unreachable",
]
