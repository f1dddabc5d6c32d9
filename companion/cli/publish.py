"""`psl publish`: what a clone of the companion hands to archives, checkers and citers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from companion import publish
from companion.cli.console import err, say

SITE, DIST = Path("book/_build/html"), Path("dist")

app = typer.Typer(
    no_args_is_help=True, help="In a clone: metadata for archives, the book as a PDF, a release."
)


@app.command("metadata")
def publish_metadata(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; status 2 where a file is out of date.")
    ] = False,
) -> None:
    """Write codemeta.json, .zenodo.json, codecheck.yml and the RO-Crate from CITATION.cff."""
    root = Path()
    names = publish.outdated(root) if check else publish.write_metadata(root)
    for name in names:
        say(f"{name}: {'out of date; `psl publish metadata` writes it' if check else 'written'}")
    if not names:
        say(f"{', '.join(publish.METADATA)}: as CITATION.cff and pyproject.toml say")
    elif check:
        raise typer.Exit(2)


def _name() -> str:
    return f"psl-companion-{publish.read_source(Path()).cff['version']}"


@app.command("pdf")
def publish_pdf(
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    site: Annotated[Path, typer.Option(help="The built book.")] = SITE,
) -> None:
    """Print the built book to one PDF, by a Chromium that is installed."""
    from companion.publish.pdf import write_pdf

    output = output or DIST / f"{_name()}.pdf"
    lost = write_pdf(Path(), site, output)
    for fault in lost:
        say(f"psl: {fault}", err)
    say(f"the book is in {output}")


@app.command("release")
def publish_release(
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    site: Annotated[Path, typer.Option(help="The built book.")] = SITE,
    dist: Annotated[
        Path, typer.Option(help="Folder of the PDF; wheel and sources go there.")
    ] = DIST,
) -> None:
    """Put book, PDF, records, schemas, wheel and sources into one archive, with checksums.

    `make release` makes book and PDF first. The same commit, book and PDF give the same bytes.
    """
    from companion.publish.package import build_package
    from companion.publish.release import release_files, write_archive

    source, build, name = publish.read_source(Path()), publish.build_of(Path()), _name()
    build_package(Path(), dist, build.seconds)
    output = output or DIST / f"{name}.tar.gz"
    files = release_files(source, build, site, dist)
    write_archive(output, name, files, build.seconds)
    say(f"{output}: {len(files)} files of {build or 'no commit'}; `psl publish verify` checks it")


@app.command("verify")
def publish_verify(
    path: Annotated[Path, typer.Argument(help="A release: the archive, or its folder.")],
) -> None:
    """Compare every file of a release with its checksum; status 2 where one differs."""
    from companion.publish.release import verify

    wrong = verify(path)
    for line in wrong:
        say(line)
    if wrong:
        raise typer.Exit(2)
    say(f"{path}: every file is as its manifest says")
