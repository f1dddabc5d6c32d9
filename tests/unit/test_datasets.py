"""Archives that are not what they should be, mirrors, and the counts of Table B.1."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import io
import os
import re
import shutil
import socketserver
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psl import datasets
from psl.datasets import archive as archives
from psl.datasets import fetching
from psl.errors import DataError, UnknownNameError

HEADER = "user_procid\titem_procid\n"
TRAIN, TEST = HEADER + "0\t0\n0\t1\n1\t2\n", HEADER + "0\t2\n1\t0\n"
MIRROR = os.environ.get("PSL_DATA_MIRROR", "")


def write(path: Path, **members: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_tsv", ".tsv"), text)
    return path


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


def test_what_to_do_about_an_archive(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One's own is never to be fetched; a registered one is not to be written."""
    for name in ("mine.zip", "in/mine.zip"):
        with pytest.raises(DataError, match=r"mine\.zip: no such file; `psl data split`"):
            datasets.load(str(tmp_path / name))
    (tmp_path / "mine.zip").write_bytes(b"no")
    with pytest.raises(DataError, match=r"not a readable zip archive .*; `psl data split`"):
        datasets.load(str(tmp_path / "mine.zip"))
    # With the digest of what is no archive, it gets as far as this.
    source = datasets.DATASETS["tiny", "iid"]
    content = b"no"
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(
        datasets.DATASETS, ("tiny", "iid"), dataclasses.replace(source, sha256=digest)
    )
    monkeypatch.setenv("PSL_DATA_MIRROR", str(tiny))
    (tiny / source.path).write_bytes(content)
    with pytest.raises(DataError, match=r"readable zip archive .*; delete it, and fetch it again"):
        datasets.load("tiny")


def test_pairs_of_both_sides_are_counted_and_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", train_tsv=TRAIN, test_tsv=HEADER + "0\t2\n0\t1\n1\t2\n1\t2\n")
    with pytest.raises(DataError, match="2 of the 3 test pairs are training pairs too"):
        datasets.read_archive(path, "mine")


def test_an_archive_of_ones_own_has_the_name_of_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "far" / "mine.zip", train_tsv=TRAIN, test_tsv=TEST)
    for setting, stored in (("iid", "iid"), ("noise", "iid"), ("ood", "ood")):
        data = datasets.load(str(path), setting)
        assert (data.name, data.setting) == ("mine.zip", stored)
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


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register a dataset ``tiny`` and return the mirror folder that holds it."""
    path = write(
        tmp_path / "mirror" / "data_iid" / "tiny" / "proc.zip", train_tsv=TRAIN, test_tsv=TEST
    )
    source = datasets.Source(
        "tiny",
        "iid",
        "data_iid/tiny/proc.zip",
        2,
        3,
        5,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        None,
        path.stat().st_size,
        None,
        "own",
    )
    monkeypatch.setitem(datasets.DATASETS, ("tiny", "iid"), source)
    monkeypatch.setenv("PSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "mirror"


@pytest.fixture
def served(tiny: Path) -> Iterator[str]:
    """Serve the mirror on the loopback interface."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(tiny))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_folder_as_mirror(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PSL_DATA_MIRROR", str(tiny))
    assert len(datasets.load("tiny").train) == 3
    monkeypatch.setitem(
        datasets.DATASETS,
        ("tiny", "iid"),
        dataclasses.replace(datasets.DATASETS["tiny", "iid"], interactions=6),
    )
    with pytest.raises(DataError, match=r"\(2, 3, 5\) != \(2, 3, 6\)"):
        datasets.load("tiny")


def test_an_address_as_mirror(tiny: Path, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PSL_DATA_MIRROR", served)
    assert len(datasets.load("tiny").train) == 3
    # The second time it is read from the cache.
    (tiny / "data_iid" / "tiny" / "proc.zip").unlink()
    assert len(datasets.load("tiny").test) == 2


def test_a_download_needs_no_bar(
    tiny: Path, served: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PSL_DATA_MIRROR", served)
    with monkeypatch.context() as without:  # as where tqdm is not installed
        without.setitem(sys.modules, "tqdm", None)
        without.setattr("pooch.downloaders.tqdm", None)
        path = datasets.fetch("tiny", progress=True)
        assert path.is_file() and not capsys.readouterr().err
    path.unlink()
    datasets.fetch("tiny", progress=True)
    assert "100%" in capsys.readouterr().err


def test_a_wrong_digest_leaves_nothing(
    tiny: Path, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tiny / "data_iid" / "tiny" / "proc.zip", train_tsv=TRAIN + "1\t1\n", test_tsv=TEST)
    for mirror in (str(tiny), served):
        monkeypatch.setenv("PSL_DATA_MIRROR", mirror)
        with pytest.raises(DataError, match=r"SHA-?256|hash") as caught:
            datasets.load("tiny")
        assert "\n" not in str(caught.value)
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_a_damaged_cache_is_fetched_again_or_refused(
    tiny: Path, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_DATA_MIRROR", served)
    cached = datasets.fetch("tiny")
    cached.write_bytes(cached.read_bytes()[:40])
    assert len(datasets.load("tiny").train) == 3


@pytest.mark.parametrize("mirror", ["http://127.0.0.1:9/nowhere", "/nowhere/at/all"])
def test_nothing_there(
    tiny: Path, tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_DATA_MIRROR", mirror)
    with pytest.raises(DataError, match=r"could not be fetched|no file"):
        datasets.load("tiny")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_what_cannot_be_had_is_known_before_and_said_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The plan of a sweep and the download look in the same places and give the same reason."""
    monkeypatch.delenv("PSL_DATA_MIRROR", raising=False)
    monkeypatch.setenv("PSL_CACHE", str(tmp_path / "cache"))

    def reason(name: str, setting: str = "iid") -> str:
        said = datasets.unreachable(name, setting)
        if said:
            with pytest.raises((DataError, UnknownNameError)) as caught:
                datasets.load(name, setting)
            assert said in str(caught.value)
        return said

    assert reason("synthetic") == "" == reason("synthetic", "noise")
    assert "'iid' and 'noise' only" in reason("synthetic", "ood")
    assert datasets.unreachable("gowalla", "noise") == ""
    assert datasets.unreachable("amazon-book") == ""
    assert "has no setting 'ood'" in reason("amazon-book", "ood")
    assert "unknown dataset" in reason("no-such")
    monkeypatch.setenv("PSL_DATA_MIRROR", str(tmp_path))
    assert "no file data_iid/gowalla/proc.zip in PSL_DATA_MIRROR" in reason("gowalla")
    there = tmp_path / "data_iid" / "amazon2014-book" / "proc.zip"
    there.parent.mkdir(parents=True)
    there.touch()
    assert datasets.unreachable("amazon-book") == ""
    with pytest.raises(DataError, match="it is no zip archive"):
        datasets.fetch("amazon-book")
    monkeypatch.setenv("PSL_DATA_MIRROR", "https://example.org/mirror")
    assert datasets.unreachable("amazon-book") == ""


def test_the_data_of_a_setting() -> None:
    stored = {s: datasets.stored_setting(s) for s in ("iid", "ood", "noise")}
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
@pytest.mark.parametrize(("name", "setting"), datasets.DATASETS)
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_before_it_fills_the_memory(kind: str, tmp_path: Path) -> None:
    """Once as it states its size, once as it states a small one."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", KINDS[kind]) as archive:
        archive.writestr("train.tsv", HEADER + "0\t1\n" * 2**23)
        archive.writestr("test.tsv", TEST)
    size = len(HEADER) + 2**25
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
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_blob_id_is_what_git_calls_the_archive(
    tiny: Path, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = datasets.DATASETS["tiny", "iid"]
    said = subprocess.run(
        ["git", "hash-object", str(tiny / source.path)], capture_output=True, text=True, check=True
    )
    blob = dataclasses.replace(source, sha256=None, git_blob=said.stdout.strip())
    monkeypatch.setitem(datasets.DATASETS, ("tiny", "iid"), blob)
    for mirror in (str(tiny), served):
        monkeypatch.setenv("PSL_DATA_MIRROR", mirror)
        assert len(datasets.load("tiny").train) == 3
    cached = tmp_path / "cache" / "tiny-iid.zip"
    # A page with status 200 in the archive's place, now and from before, does not stay.
    good = (tiny / source.path).read_bytes()
    (tiny / source.path).write_text("<html>Please log in</html>")
    cached.write_text("<html>Please log in</html>")
    with pytest.raises(DataError, match="could not be fetched: it is no zip archive"):
        datasets.fetch("tiny")
    assert not cached.exists()
    (tiny / source.path).write_bytes(good)
    assert datasets.fetch("tiny").read_bytes() == good
    (tiny / source.path).write_bytes(good + b"1")
    cached.unlink()
    with pytest.raises(DataError, match="git blob id is"):
        datasets.fetch("tiny")
    assert not [p for p in cached.parent.iterdir() if p.is_file()]


@pytest.mark.parametrize("slow", ["header", "body"])
def test_a_server_that_drips_does_not_hold_for_ever(
    slow: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LONGEST_SECONDS", 1.0)
    over = threading.Event()

    class Dripping(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            whole = b"HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"P" * 1000000
            sent = 0 if slow == "header" else whole.index(b"P" * 2)
            self.wfile.write(whole[:sent])
            while not over.wait(0.05):
                self.wfile.write(whole[sent : sent + 1])
                sent += 1

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PSL_DATA_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
        started = time.monotonic()
        with pytest.raises(DataError, match=r"takes longer than 1 s; get http.* PSL_DATA_MIRROR"):
            datasets.fetch("tiny")
        assert time.monotonic() - started < 20
        over.set()
        server.shutdown()
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
