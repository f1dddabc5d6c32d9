"""Mirrors, downloads and the cache."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import shutil
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import TEST, TRAIN, write
from companion import datasets
from companion.datasets import fetching
from psl.errors import DataError, UnknownNameError


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
