"""A release: the same bytes from the same files, and no byte changes unnoticed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from companion.publish import Build, read_source
from companion.publish.package import build_package, pack_sources
from companion.publish.release import MANIFEST, release_files, verify, write_archive
from psl.errors import PSLError

SOURCE = read_source(Path(__file__).parents[3])
VERSION = SOURCE.cff["version"]
BUILD = Build("0123456789ab", False, "2026-11-29", 1796000000)
FILES = {"b/two.txt": b"two", "a.txt": b"one", "b/empty": b""}


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """A small site and the files of `dist/`."""
    site, dist = tmp_path / "site", tmp_path / "dist"
    (site / "book").mkdir(parents=True)
    (site / "data").mkdir()
    (site / "book" / "index.html").write_text("<p>book</p>")
    (site / "data" / "runs.jsonl").write_text("{}\n")
    dist.mkdir()
    for name in (f"psl-companion-{VERSION}.pdf", f"psl-{VERSION}.tar.gz"):
        (dist / name).write_bytes(name.encode())
    (dist / f"psl-{VERSION}-py3-none-any.whl").write_bytes(b"wheel")
    return site, dist


def test_the_same_files_give_the_same_bytes(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    made = []
    for k, (site, dist) in enumerate((parts, parts)):
        for path in site.rglob("*"):
            os.utime(path, (k, k))
        files = release_files(SOURCE, BUILD, site, dist)
        write_archive(tmp_path / f"{k}.tar.gz", "psl", dict(reversed(files.items())), BUILD.seconds)
        made.append((tmp_path / f"{k}.tar.gz").read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "0.tar.gz") as archive:
        entries = archive.getmembers()
    assert [e.name for e in entries] == sorted(e.name for e in entries)
    assert {(e.mtime, e.uid, e.gid, e.uname, e.mode) for e in entries} == {
        (BUILD.seconds, 0, 0, "", 0o644)
    }
    names = {e.name.removeprefix("psl/") for e in entries}
    assert {"book/book/index.html", "data/runs.jsonl", "README.txt", "LICENSE", MANIFEST} <= names
    assert {f"psl-companion-{VERSION}.pdf", f"dist/psl-{VERSION}-py3-none-any.whl"} <= names


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "r.tar.gz"
    write_archive(path, "psl", FILES, 0)
    assert verify(path) == []
    plain = gzip.decompress(path.read_bytes())
    with tarfile.open(path) as archive:
        spans = [(e.offset_data, e.size, e.name) for e in archive if e.size]
    assert len(spans) == 3  # two files and the manifest
    for start, size, name in spans:
        for place in range(start, start + size):
            changed = bytearray(plain)
            changed[place] ^= 1
            path.write_bytes(gzip.compress(bytes(changed)))
            assert verify(path), f"byte {place - start} of {name}"


def test_a_folder_is_verified_too_and_by_others(tmp_path: Path) -> None:
    write_archive(tmp_path / "r.tar.gz", "psl", FILES, 0)
    with tarfile.open(tmp_path / "r.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "psl"
    assert verify(folder) == []
    if shutil.which("sha256sum"):
        subprocess.run(("sha256sum", "--check", "--quiet", MANIFEST), cwd=folder, check=True)
    (folder / "a.txt").write_text("other")
    (folder / "b" / "two.txt").unlink()
    (folder / "more").write_text("")
    assert verify(folder) == [
        "a.txt: changed",
        "b/two.txt: missing",
        "more: not in the manifest",
    ]


def test_what_is_no_release_is_told_so(tmp_path: Path) -> None:
    for name, content in (("no.gz", b"text"), ("cut.gz", b"\x1f\x8b\x08")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PSLError, match="no release"):
            verify(tmp_path / name)
    with pytest.raises(PSLError, match="no release"):
        verify(tmp_path / "gone")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("psl/a"))
    (tmp_path / "bare.tar.gz").write_bytes(out.getvalue())
    with pytest.raises(PSLError, match=MANIFEST):
        verify(tmp_path / "bare.tar.gz")


def test_nothing_is_released_that_nobody_can_make_again(parts: tuple[Path, Path]) -> None:
    site, dist = parts
    with pytest.raises(PSLError, match="commit them first"):
        release_files(SOURCE, Build("0" * 12, True, "2026-11-29", 1), site, dist)
    (dist / f"psl-companion-{VERSION}.pdf").unlink()
    with pytest.raises(PSLError, match=r"\.pdf: nothing there"):
        release_files(SOURCE, BUILD, site, dist)


def test_the_manifest_is_of_the_content(tmp_path: Path) -> None:
    write_archive(tmp_path / "r.tar.gz", "psl", FILES, 0)
    with tarfile.open(tmp_path / "r.tar.gz") as archive:
        lines = archive.extractfile(f"psl/{MANIFEST}").read().decode().splitlines()
    assert lines == [f"{hashlib.sha256(FILES[name]).hexdigest()}  {name}" for name in sorted(FILES)]


def test_the_package_is_built_from_the_commit_and_the_same_twice(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "one").mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "one"\nversion = "1.0"\n[tool.setuptools]\npackages = ["one"]\n'
    )
    (root / "one" / "__init__.py").write_text("A = 1\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    who = ("-c", "user.name=n", "-c", "user.email=e")
    for words in (("init",), ("add", "."), ("commit", "-m", "a")):
        subprocess.run(("git", *who, *words), cwd=root, check=True, capture_output=True)
    (root / "one" / "__init__.py").write_text("A = 2\n")
    first = build_package(root, tmp_path / "first", 1796000000)
    assert [path.name for path in first] == ["one-1.0-py3-none-any.whl", "one-1.0.tar.gz"]
    again = build_package(root, tmp_path / "again", 1796000000)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    with tarfile.open(first[1]) as archive:
        text = archive.extractfile("one-1.0/one/__init__.py").read()
    assert text == b"A = 1\n", "what is not in the commit is not released"
    sources = pack_sources(root, "all", 1796000000)
    assert sources == pack_sources(root, "all", 1796000000)
    with tarfile.open(fileobj=io.BytesIO(sources)) as archive:
        modes = {entry.name: entry.mode for entry in archive}
        assert archive.extractfile("all/one/__init__.py").read() == b"A = 1\n"
    assert modes == dict.fromkeys(("all/one/__init__.py", "all/pyproject.toml"), 0o644) | {
        "all/run": 0o755
    }
    with pytest.raises(PSLError, match="git -C failed"):
        build_package(tmp_path, tmp_path / "none", 0)
