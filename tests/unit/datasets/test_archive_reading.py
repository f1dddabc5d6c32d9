"""An archive read: its pairs, the names behind the ids, what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from archives import HEADER, TEST, TRAIN, write
from companion import datasets
from psl.errors import DataError


def test_a_good_archive(tmp_path: Path) -> None:
    # Another folder inside, another column, another order of columns: all of that is harmless.
    test = "rating\titem_procid\tuser_procid\n5\t2\t0\n1\t0\t1\n"
    data = datasets.read_archive(
        write(tmp_path / "a.zip", proc__train_tsv=TRAIN, proc__test_tsv=test), "mine"
    )
    assert (data.train.num_users, data.train.num_items) == (2, 3)
    assert data.train.of(0).tolist() == [0, 1] and data.test.of(0).tolist() == [2]
    plain = datasets.read_archive(write(tmp_path / "b.zip", train_tsv=TRAIN, test_tsv=TEST), "mine")
    assert plain.fingerprint == data.fingerprint
    swapped = datasets.read_archive(
        write(tmp_path / "c.zip", train_tsv=TEST, test_tsv=TRAIN), "mine"
    )
    assert swapped.fingerprint != data.fingerprint


def test_an_archive_of_ones_own_has_the_name_of_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "far" / "mine.zip", train_tsv=TRAIN, test_tsv=TEST)
    for setting, stored in (("iid", "iid"), ("noise", "iid"), ("ood", "ood")):
        data = datasets.load(str(path), setting)
        assert (data.name, data.setting) == ("mine.zip", stored)
    with pytest.raises(DataError, match=r"setting must be one of .*, got 'nonsense'"):
        datasets.load(path, "nonsense")
    assert datasets.load(path).fingerprint == data.fingerprint
    assert datasets.load(path.rename(tmp_path / "MINE.ZIP")).name == "MINE.ZIP"


LISTS = {
    "user_list_tsv": "user_orgid\tuser_procid\nNA\t0\n007\t1\n",
    "item_list_tsv": 'orgid\tprocid\n"a\tb"\t2\nnull\t0\nb\t1\n',
}


def test_the_names_behind_the_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.zip", train_tsv=TRAIN, test_tsv=TEST, **LISTS)
    found = datasets.id_lists(str(path), datasets.load(str(path)))
    assert found == {"user": ["NA", "007"], "item": ["null", "b", "a\tb"]}
    bare = write(tmp_path / "bare.zip", train_tsv=TRAIN, test_tsv=TEST)
    assert datasets.id_lists(str(bare), datasets.load(str(bare))) == {}
    assert datasets.id_lists("synthetic", datasets.load("synthetic")) == {}
    with pytest.raises(DataError, match="generated, there is no archive"):
        datasets.fetch("synthetic")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("orgid\tprocid\na\t0\n", "each of the 2 ids once"),
        ("orgid\tprocid\na\t0\nb\t1\nc\t1\n", "each of the 2 ids once"),
        ("orgid\tprocid\na\t0\nb\tone\n", "each of the 2 ids once"),
        ("name\tprocid\na\t0\n", "lacks the column 'orgid'"),
        ("orgid\tprocid\n", "is empty"),
        ("", "not a table"),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "mine.zip", train_tsv=TRAIN, test_tsv=TEST, user_list_tsv=text)
    with pytest.raises(DataError, match=rf"mine\.zip: user_list\.tsv.*{words}"):
        datasets.id_lists(str(path), datasets.load(str(path)))


def test_what_counts_once_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", train_tsv=TRAIN + "0\t1\n0\t1\n", test_tsv=TEST)
    notes = datasets.load(path).notes
    assert notes == ("train.tsv: 5 rows, 3 pairs; what is repeated counts once",)
    assert datasets.load().notes == ()


def test_the_middle_is_known_and_not_trained_on(tmp_path: Path) -> None:
    plain = datasets.load(write(tmp_path / "a.zip", train_tsv=TRAIN, test_tsv=TEST))
    assert plain.middle is None and plain.known is plain.train
    middle = HEADER + "1\t1\n"
    data = datasets.load(
        write(tmp_path / "a.zip", train_tsv=TRAIN, test_tsv=TEST, middle_tsv=middle)
    )
    assert data.train.fingerprint() == plain.train.fingerprint()
    assert data.middle is not None and data.middle.of(1).tolist() == [1]
    assert data.known.of(1).tolist() == [1, 2]
    assert data.fingerprint != plain.fingerprint
    for text, words in (("0\t0\n", "training pairs too"), ("0\t2\n", "known pairs too")):
        path = tmp_path / "b.zip"
        write(path, train_tsv=TRAIN, test_tsv=TEST, middle_tsv=HEADER + text)
        with pytest.raises(DataError, match=words):
            datasets.load(path)
