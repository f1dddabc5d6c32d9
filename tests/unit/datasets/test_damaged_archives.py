"""Archives that are not what they should be: a typed error that names the file."""

from __future__ import annotations

import functools
import io
import re
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import HEADER, TEST, TRAIN, write
from companion import datasets
from companion.datasets import archive_reading as archives
from psl.errors import DataError


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"train_tsv": TRAIN}, "expected one test.tsv, found 0"),
        ({"train_tsv": TRAIN, "test_tsv": TEST, "x__test_tsv": TEST}, "found 2"),
        ({"train_tsv": "user\titem_procid\n0\t0\n", "test_tsv": TEST}, "lacks the column"),
        ({"train_tsv": HEADER, "test_tsv": TEST}, "train.tsv is empty"),
        ({"train_tsv": "", "test_tsv": TEST}, "not a table"),
        ({"train_tsv": HEADER + "0\tabc\n", "test_tsv": TEST}, "not an integer"),
        ({"train_tsv": HEADER + "0\t\n", "test_tsv": TEST}, "not an integer"),
        ({"train_tsv": HEADER + "0\t1.5\n", "test_tsv": TEST}, "not an integer"),
        ({"train_tsv": HEADER + "0\t99999999999999999999\n", "test_tsv": TEST}, "not an integer"),
        (
            {"train_tsv": HEADER + "0\t9999999999\n", "test_tsv": TEST},
            "the item id 99999",
        ),
        ({"train_tsv": HEADER + "0\t-2\n", "test_tsv": TEST}, "negative id -2"),
    ],
)
def test_bad_members(tmp_path: Path, members: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        datasets.read_archive(write(tmp_path / "a.zip", **members), "mine")
    assert "a.zip" in str(caught.value) and "\n" not in str(caught.value)


def test_bad_archives(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.zip", train_tsv=TRAIN * 50, test_tsv=TEST).read_bytes()
    for content in (b"", b"not a zip", whole[: len(whole) // 2]):
        (tmp_path / "b.zip").write_bytes(content)
        with pytest.raises(DataError, match="not a readable zip"):
            datasets.read_archive(tmp_path / "b.zip", "mine")


KINDS = {
    name: getattr(zipfile, f"ZIP_{name.upper()}")
    for name in ("stored", "deflated", "bzip2", "lzma")
}


@functools.cache
def whole(kind: str) -> bytes:
    """A good archive whose members are packed in one of the ways of the format."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", KINDS[kind]) as archive:
        archive.writestr("train.tsv", HEADER + "".join(f"{k}\t{k + 1}\n" for k in range(40)))
        archive.writestr("test.tsv", TEST)
    return content.getvalue()


def reads_or_says_why(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    said = str(path)
    try:
        datasets.read_archive(path, "mine")
    except DataError as error:
        said = str(error)
    assert str(path) in said and "\n" not in said


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_byte_reads_or_is_a_data_error(kind: str, tmp_path: Path) -> None:
    for place in range(len(whole(kind))):
        damaged = bytearray(whole(kind))
        damaged[place] ^= 255
        reads_or_says_why(tmp_path / "b.zip", bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_any_damage_reads_or_is_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    damaged, size = bytearray(whole(kind)), len(whole(kind))
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 255)), min_size=1, max_size=4)
    ):
        damaged[place] = value
    end = data.draw(st.integers(0, size) | st.just(size))
    reads_or_says_why(tmp_path_factory.getbasetemp() / "any.zip", bytes(damaged[:end]))


def test_pairs_of_both_sides_are_counted_and_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", train_tsv=TRAIN, test_tsv=HEADER + "0\t2\n0\t1\n1\t2\n1\t2\n")
    with pytest.raises(DataError, match="2 of the 3 test pairs are training pairs too"):
        datasets.read_archive(path, "mine")


def test_a_name_that_climbs_out_writes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.zip", train_tsv=TRAIN, test_tsv=TEST)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../escaped.txt", "x")
    datasets.read_archive(path, "mine")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.zip"]


def test_a_member_over_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.zip", train_tsv=TRAIN, test_tsv=TEST)
    monkeypatch.setattr(archives, "LARGEST_MEMBER_BYTES", len(TEST) - 1)
    with pytest.raises(DataError, match="over the bound"):
        datasets.read_archive(path, "mine")


@pytest.mark.parametrize("member", ["train_tsv", "test_tsv", "middle_tsv", "user_list_tsv"])
@pytest.mark.parametrize("ragged", [(0,), (1,), (0, 1)])
def test_a_row_that_is_longer_than_the_header_shifts_nothing(
    member: str, ragged: tuple[int, ...], tmp_path: Path
) -> None:
    """Of two columns over rows of three the first would become the name of the row."""
    lists = {"user_list_tsv": "orgid\tprocid\na\t0\nb\t1\n"}
    texts = {"train_tsv": TRAIN, "test_tsv": TEST, "middle_tsv": HEADER + "1\t1\n1\t1\n", **lists}
    lines = texts[member].splitlines()
    for row in ragged:
        lines[1 + row] += "\t5"
    texts[member] = "\n".join(lines)
    path = write(tmp_path / "mine.zip", **texts)
    name = member.replace("_tsv", ".tsv")
    with pytest.raises(DataError, match=rf"{name}: not a table: (Length of header|Error tokeni)"):
        datasets.id_lists(path, datasets.load(path))


def test_a_column_that_stands_twice_is_not_chosen_from(tmp_path: Path) -> None:
    twice = "user_procid\titem_procid\titem_procid\n0\t1\t2\n"
    path = write(tmp_path / "a.zip", train_tsv=twice, test_tsv=TEST)
    with pytest.raises(DataError, match=r"train\.tsv: 2 columns 'item_procid'"):
        datasets.load(path)
    lists = {"user_list_tsv": "orgid\tuser_orgid\tprocid\na\tb\t0\nc\td\t1\n"}
    path = write(tmp_path / "b.zip", train_tsv=TRAIN, test_tsv=TEST, **lists)
    with pytest.raises(DataError, match="two columns of one name"):
        datasets.id_lists(path, datasets.load(path))


@pytest.mark.parametrize(("column", "side"), [(0, "user"), (1, "item")])
def test_ids_far_above_the_number_of_rows_take_no_memory(
    column: int, side: str, tmp_path: Path
) -> None:
    """Tables have as many rows as the largest id says: 2^28 of them took the machine."""
    for largest in (999, 1000, 2**28, 2**62, 2**63, 2**64 - 1):
        pair = ["0", "3"]
        pair[column] = str(largest)
        text = TRAIN + "\t".join(pair) + "\n"
        path = write(tmp_path / "a.zip", train_tsv=text, test_tsv=TEST)
        if largest < 1000:
            data = datasets.load(path)
            assert (data.train.num_users, data.train.num_items)[column] == 1000
            (note,) = [note for note in data.notes if side in note]
            assert note.endswith(f"of 1,000 {side} ids stand in no row")
        else:
            words = "above 2^63" if largest >= 2**63 else f"the {side} id {largest} though"
            with pytest.raises(DataError, match=re.escape(words)):
                datasets.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_before_it_fills_the_memory(kind: str, tmp_path: Path) -> None:
    """Once as it states its size, once as it states a small one."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", KINDS[kind]) as archive:
        archive.writestr("train.tsv", HEADER + "0\t1\n" * 2**22)  # just over what is small
        archive.writestr("test.tsv", TEST)
    size = len(HEADER) + 2**24
    honest = content.getvalue()
    path = tmp_path / "a.zip"
    path.write_bytes(honest)
    tracemalloc.start()
    try:
        if kind != "stored":
            with pytest.raises(DataError, match="over the bound"):
                datasets.load(path)
        path.write_bytes(honest.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
        with pytest.raises(DataError, match="not a readable zip"):
            datasets.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
