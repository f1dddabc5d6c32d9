"""`psl data`: archives that are damaged, unreachable or not the registered ones."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import pytest

from command import assert_refused
from companion import datasets


def test_corrupt_archive(psl, tmp_path: Path) -> None:
    target = tmp_path / "data_iid" / "amazon2014-health" / "proc.zip"
    target.parent.mkdir(parents=True)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("train.tsv", "user_procid\titem_procid\n0\t0\n")
    done = psl("data", "check", "amazon-health", PSL_DATA_MIRROR=str(tmp_path))
    assert_refused(done, "SHA-256")


def test_unreachable_address_says_so(psl, tmp_path: Path) -> None:
    done = psl(
        *("data", "fetch", "amazon-health"),
        PSL_DATA_MIRROR="http://127.0.0.1:9/nowhere",
        PSL_CACHE=str(tmp_path / "cache"),
    )
    assert_refused(done, "could not be fetched")
    assert not list(tmp_path.glob("cache/*.zip"))


def test_check_ones_own_archive(psl, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for name in ("train.tsv", "test.tsv"):
            archive.writestr(name, "user_procid\titem_procid\n0\t0\n1\t1\n")
    assert_refused(psl("data", "check", "mine.zip"), "2 of the 2 test pairs are training pairs too")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("train.tsv", "user_procid\titem_procid\n0\t0\n1\t1\n")
        archive.writestr("test.tsv", "user_procid\titem_procid\n0\t1\n")
    done = psl("data", "check", "mine.zip")
    assert done.returncode == 0 and "2 training and 1 test interactions" in done.stdout


def test_content_that_is_not_the_registered_one(psl, monkeypatch: pytest.MonkeyPatch) -> None:
    source = dataclasses.replace(datasets.get_source("gowalla"), fingerprint="f" * 64)
    monkeypatch.setitem(datasets.DATASETS, ("gowalla", "iid"), source)
    found = dataclasses.replace(datasets.load(), name="gowalla")
    monkeypatch.setattr("companion.cli.data.datasets.load", lambda *_: found)
    assert_refused(psl("data", "check", "gowalla"), "not the registered one")


def test_what_has_no_fingerprint_is_not_called_compared(
    psl, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = datasets.get_source("yelp2018", "ood")
    assert source.fingerprint is None and source.sha256 is None and source.git_blob
    found = dataclasses.replace(datasets.load(), name="yelp2018", setting="ood")
    monkeypatch.setattr("companion.cli.data.datasets.load", lambda *_: found)
    said = psl("data", "check", "yelp2018", "--setting", "ood").stdout
    assert said.endswith("; none is registered to compare it with\n")
    known = psl("data", "list", COLUMNS="1000").stdout.splitlines()[-1]
    assert known.startswith("amazon-book (iid), yelp2018 (iid), yelp2018 (ood): never read on a")
