"""One archive of everything, the same bytes from the same files, that says when one was changed."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from companion.publish.archive import pack
from companion.publish.cite import Build
from companion.publish.source import Source
from psl.errors import PSLError
from psl.files import replace_file

__all__ = ["MANIFEST", "collect", "release_files", "verify", "write_archive"]

MANIFEST = "SHA256SUMS"  # as `sha256sum --check` reads it
README = """\
{title}
{about}

book/book/index.html   the book; it opens from this folder, without a network
{name}.pdf   the book for paper
data/         the ledger and every run record, with JSON schemas
dist/         the package: a wheel and the sources
{manifest}    SHA-256 of every file

Is every file as it was released?
    sha256sum --check --quiet {manifest}
or, with the package installed:
    psl publish verify ARCHIVE_OR_FOLDER
"""


def release_files(source: Source, build: Build, site: Path, dist: Path) -> dict[str, bytes]:
    """Return what is released, by its place in the archive.

    Parameters
    ----------
    source : Source
    build : Build
        With the files of the checkout as they are in the commit.
    site : Path
        The built book.
    dist : Path
        Folder of the PDF, the wheel and the sources.

    Raises
    ------
    PSLError
        If a part is missing, or files differ from the commit: nobody could make it again.
    """
    if build.changed:
        raise PSLError(f"files differ from commit {build.commit}; commit them first")
    name = f"psl-companion-{source.cff['version']}"
    version = f"psl-{source.cff['version']}"
    parts = {
        "book": site,
        "data": site / "data",
        f"{name}.pdf": dist / f"{name}.pdf",
        f"dist/{version}-py3-none-any.whl": dist / f"{version}-py3-none-any.whl",
        f"dist/{version}.tar.gz": dist / f"{version}.tar.gz",
        **{text: source.root / text for text in (*source.project["license-files"], "CITATION.cff")},
    }
    about = f"{version}, {build}, {build.date}" if build.commit else version
    readme = README.format(title=source.cff["title"], about=about, name=name, manifest=MANIFEST)
    return {**collect(parts), "README.txt": readme.encode()}


def collect(parts: Mapping[str, Path]) -> dict[str, bytes]:
    """Return the content of each file of an archive.

    Parameters
    ----------
    parts : mapping of str to Path
        Place in the archive to a file, or to a folder that goes in with all that is in it.

    Raises
    ------
    PSLError
        If one is missing or has no file in it.
    """
    out: dict[str, bytes] = {}
    for place, path in parts.items():
        if path.is_file():
            out[place] = path.read_bytes()
            continue
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        if not inside:
            raise PSLError(f"{path}: nothing there; `make release` makes all its parts first")
        for file in inside:
            out[f"{place}/{file.relative_to(path).as_posix()}"] = file.read_bytes()
    return out


def write_archive(output: Path, root: str, files: Mapping[str, bytes], seconds: int) -> None:
    """Write ``output``, a ``.tar.gz`` with one folder in it; the same files, the same bytes.

    Parameters
    ----------
    output : Path
    root : str
        Name of the folder.
    files : mapping of str to bytes
        Content by the place in the folder; the manifest is added.
    seconds : int
        Time of every entry, since 1970: that of the commit.
    """
    whole = {**files, MANIFEST: _manifest(files)}
    packed = pack({f"{root}/{name}": content for name, content in whole.items()}, seconds)
    replace_file(output, packed)


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{_digest(files[name])}  {name}\n" for name in sorted(files)).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def verify(path: Path) -> list[str]:
    """Say what in a release, packed or unpacked, is not as its manifest says.

    Raises
    ------
    PSLError
        If there is no release, or it has no manifest.
    """
    files = _unpacked(path) if path.is_dir() else _packed(path)
    if MANIFEST not in files:
        raise PSLError(f"{path}: no release: there is no {MANIFEST} in it")
    manifest = files.pop(MANIFEST)
    lines = (line.partition("  ") for line in manifest.decode(errors="replace").split("\n"))
    wanted = {name: digest for digest, _, name in lines if name}
    wrong = [f"{name}: missing" for name in wanted if name not in files]
    wrong += [f"{name}: not in the manifest" for name in files if name not in wanted]
    both = (name for name in wanted if name in files)
    wrong += [f"{name}: changed" for name in both if _digest(files[name]) != wanted[name]]
    if not wrong and manifest != _manifest(files):
        wrong = [f"{MANIFEST}: changed"]
    return sorted(wrong)


def _unpacked(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def _packed(path: Path) -> dict[str, bytes]:
    """Read an archive in memory: nothing of it is unpacked."""
    out = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for entry in archive:
                content = archive.extractfile(entry)
                if content is not None:
                    name = PurePosixPath(*PurePosixPath(entry.name).parts[1:])
                    out[str(name)] = content.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise PSLError(f"{path}: no release ({error or 'cut off'})") from None
    return out
