"""A file is the old one or the new one, never a part of either."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from companion.locks import clear_temporaries
from companion.writable import check_writable
from psl.errors import PSLError
from psl.files import replace_file


def test_written_with_its_folders_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    for content in (b"one", b"another", b""):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_is_being_written_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it can be cleared where its writer was killed."""
    path = tmp_path / "a[1] b.jsonl"

    def killed(*_: Any) -> None:
        (part,) = tmp_path.iterdir()
        path.with_name(".a1 b.jsonl.1a2b3c4d").touch()
        clear_temporaries(path)
        assert not part.exists() and len(list(tmp_path.iterdir())) == 1
        raise OSError(5, "killed")

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(OSError, match="killed"):
        replace_file(path, b"one")


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250)
    check_writable(path)
    replace_file(path, b"one")
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"one"


def test_a_link_to_where_nothing_can_be_is_told_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file" / "below")
    with pytest.raises(PSLError, match="cannot be written"):
        check_writable(link)


@pytest.mark.parametrize("below", ["", "folder/a.bin"])
def test_links_in_a_circle_are_told(tmp_path: Path, below: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    for write in (check_writable, lambda path: replace_file(path, b"one")):
        with pytest.raises(PSLError, match=r"one.* cannot be written: its links lead round"):
            write(one / below)


@pytest.fixture
def umask() -> Iterator[None]:
    """Give new files to their owner alone, as far as this test goes."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_permissions_are_the_old_ones_or_those_of_any_new_file(tmp_path: Path, umask: None) -> None:
    path = tmp_path / "a.bin"
    replace_file(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o444):
        path.chmod(mode)
        replace_file(path, b"again")
        assert path.stat().st_mode & 0o777 == mode


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "far" / "a.bin", tmp_path / "a.bin"
    link.symlink_to(real)
    for content in (b"made", b"replaced"):
        replace_file(link, content)
        assert link.is_symlink() and real.read_bytes() == content
    assert [p.name for p in real.parent.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_full_disk_keeps_the_old_file(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    replace_file(path, b"old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.bin'"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_path_may_be_text(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    check_writable(str(path))
    replace_file(str(path), b"one")
    assert path.read_bytes() == b"one"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    """By root it would be, and no other program would have its /dev/null."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    (tmp_path / "link").symlink_to(path)
    for write in (check_writable, lambda p: replace_file(p, b"a")):
        for odd in (path, tmp_path / "link"):
            with pytest.raises(PSLError, match="cannot be written: it is no file"):
                write(odd)
    assert path.is_fifo()
