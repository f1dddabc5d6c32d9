"""The registered datasets, and the counts of Table B.1."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from companion import datasets
from psl.dataset import stored_setting
from psl.errors import DataError, UnknownNameError

LARGE = 500_000  # pairs: seconds to read
MIRROR = os.environ.get("PSL_DATA_MIRROR", "")


def test_the_data_of_a_setting() -> None:
    stored = {s: stored_setting(s) for s in ("iid", "ood", "noise")}
    assert stored == {"iid": "iid", "ood": "ood", "noise": "iid"}
    assert datasets.get_source("gowalla", "noise") is datasets.get_source("gowalla", "iid")


def test_names() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'gowalla'.*amazon-book.*synthetic"):
        datasets.get_source("gowala")
    with pytest.raises(DataError, match="no setting 'ood'; it has: iid"):
        datasets.get_source("amazon-book", "ood")
    with pytest.raises(DataError, match="'iid' and 'noise' only"):
        datasets.load("synthetic", "ood")


def test_every_row_of_the_registry_is_complete() -> None:
    paper = {
        *((n, "iid") for n in ("amazon-book", "amazon-electronic", "amazon-movie", "gowalla")),
        *((n, "ood") for n in ("amazon-cd", "amazon-electronic", "gowalla", "yelp2018")),
    }
    other = {(n, "iid") for n in ("amazon-beauty", "amazon-health", "movielens-100k", "yelp2018")}
    assert set(datasets.DATASETS) == paper | other
    for source in datasets.DATASETS.values():
        facts = (source.sha256, source.size_bytes, source.fingerprint)
        assert all(facts) or not any(facts), source
        assert bool(source.sha256) != bool(source.git_blob)
        kind = "[0-9a-f]{64}" if source.sha256 else "[0-9a-f]{40}"
        assert re.fullmatch(kind, source.sha256 or source.git_blob or "")
        assert source.licence and source.path.endswith("/proc.zip")
        assert min(source.users, source.items, source.interactions) > 0


@pytest.mark.skipif(not MIRROR or "://" in MIRROR, reason="PSL_DATA_MIRROR is not a folder")
@pytest.mark.parametrize(
    ("name", "setting"),
    [
        pytest.param(*place, marks=pytest.mark.thorough if source.interactions > LARGE else ())
        for place, source in datasets.DATASETS.items()
    ],
)
def test_the_real_archives(name: str, setting: str) -> None:
    """Counts, fingerprint, disjoint splits; ``load`` compares the counts with Table B.1."""
    source = datasets.get_source(name, setting)
    if not (Path(MIRROR).expanduser() / source.path).is_file():
        pytest.skip(f"the mirror has no {source.path}")
    data = datasets.load(name, setting)
    assert data.fingerprint == source.fingerprint
    both = data.train.union(data.test)
    assert len(both) == len(data.train) + len(data.test)
    share = len(data.test) / len(both)
    assert 0.15 < share < 0.25
    assert (data.train.degrees > 0).all()
    assert np.unique(data.train.items).size <= source.items
