"""`psl data`: datasets."""

from __future__ import annotations

import math
import shlex
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from companion import datasets
from companion.cli.console import Setting, err, key, out, say
from companion.locks import write
from companion.writable import check_writable
from psl.errors import DataError, PSLError
from psl.streams import numpy_stream

app = typer.Typer(no_args_is_help=True, help="Datasets: list, fetch, check, split.")
Name = Annotated[str, typer.Argument(help="Name of a dataset, as `psl data list` shows it.")]
NameOrArchive = Annotated[
    str, typer.Argument(help="Name, as `psl data list` shows it, or an archive of your own (.zip).")
]


@app.command("list")
def data_list() -> None:
    """Show every dataset, its size and licence note."""
    columns = ("setting", "users", "items", "pairs", "archive")
    table = Table(key("dataset"), *(Column(name, justify="right") for name in columns))
    table.add_row("synthetic", "iid", "400", "600", "8,000", "generated")
    notes: dict[str, list[str]] = {"generated here, no licence needed": ["synthetic"]}
    for s in datasets.DATASETS.values():
        size = f"{s.size_bytes / 1e6:.1f} MB" if s.size_bytes else "public"
        counts = (f"{n:,}" for n in (s.users, s.items, s.interactions))
        table.add_row(s.name, s.setting, *counts, size)
        names = notes.setdefault(s.licence, [])
        names.extend([s.name] if s.name not in names else [])
    out.print(table)
    for licence, names in notes.items():
        out.print(f"{', '.join(names)}: {licence}.")  # prose: wrapped
    unseen = [f"{s.name} ({s.setting})" for s in datasets.DATASETS.values() if not s.fingerprint]
    out.print(
        f"{', '.join(unseen)}: never read on a machine of this project. A fetch compares the "
        "archive with its git blob id; of its content the counts alone are known, no fingerprint."
    )


@app.command("fetch")
def data_fetch(name: Name, setting: Setting = "iid") -> None:
    """Download an archive into the cache, verified; a second call does nothing."""
    say(str(datasets.fetch(name, setting, progress=True)))


@app.command("check")
def data_check(name: NameOrArchive, setting: Setting = "iid") -> None:
    """Read a dataset and compare it with the registered counts and fingerprint."""
    data = datasets.load(name, setting)
    source = datasets.DATASETS.get((data.name, data.setting))  # none: generated, or one's own
    expected = source.fingerprint if source else None
    if expected is not None and data.fingerprint != expected:
        raise DataError(f"{name} ({setting}): the content is not the registered one")
    for note in data.notes:
        say(f"note: {note}", err)
    middle = f", {len(data.middle):,} between them" if data.middle is not None else ""
    say(
        f"{name} ({setting}): {data.train.num_users:,} users, {data.train.num_items:,} items, "
        f"{len(data.train):,} training and {len(data.test):,} test interactions{middle}\n"
        f"fingerprint {data.fingerprint}"
        + ("" if expected or not source else "; none is registered to compare it with")
    )


@app.command("split")
def data_split(
    table: Annotated[
        Path, typer.Argument(help="A .csv, .tsv or .parquet file, or other text with --separator.")
    ],
    output: Annotated[Path, typer.Option(help="The archive to write, a .zip.")],
    setting: Annotated[
        str,
        typer.Option(
            help="iid: 80/20 of each user; popularity: an even test; temporal: the first 60 % to "
            "train, the last 20 % to test, the 20 % between to neither."
        ),
    ] = "iid",
    user: Annotated[str, typer.Option(help="Column of users.")] = "user",
    item: Annotated[str, typer.Option(help="Column of items.")] = "item",
    rating: Annotated[
        str | None,
        typer.Option(help="Column of ratings or counts: they filter rows, and weigh nothing."),
    ] = None,
    timestamp: Annotated[
        str | None, typer.Option(help="Column of times: numbers, or ISO 8601.")
    ] = None,
    separator: Annotated[
        str | None,
        typer.Option(help=r"Between entries, where the ending says it wrongly: ';', '::', '\t'."),
    ] = None,
    header: Annotated[
        bool, typer.Option(help="Whether line 1 names the columns; if not: --user 1 --item 2.")
    ] = True,
    encoding: Annotated[
        str, typer.Option(help="Of a text file: utf-8, utf-16, latin-1, cp1252, ...")
    ] = "utf-8",
    decimal: Annotated[
        str, typer.Option(help="Before the decimals of a number: '.' or ','.")
    ] = ".",
    min_rating: Annotated[
        float | None, typer.Option(help="With --rating: lower ones are dropped; usual: 3.")
    ] = None,
    core: Annotated[int, typer.Option(min=1, help="k of the k-core.")] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    figure: Annotated[Path | None, typer.Option(help="Also draw popularity there.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an archive with another content.")
    ] = False,
) -> None:
    """Split a table of your own; `psl train --dataset ARCHIVE.zip` takes what it writes."""
    if output.suffix.lower() != ".zip":
        raise DataError(f"--output must end in .zip, got {output}")
    if min_rating is not None and (rating is None or math.isnan(min_rating)):
        raise PSLError("--min-rating needs a number, and the column that --rating names")
    if figure is not None and figure.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise PSLError(f"--figure must end in .png, .pdf or .svg, got {figure}")
    least = 3.0 if min_rating is None else min_rating
    read = datasets.read_table(
        table,
        user=user,
        item=item,
        rating=rating,
        timestamp=timestamp,
        separator=None if separator is None else separator.replace("\\t", "\t"),
        header=header,
        encoding=encoding,
        decimal=decimal,
    )
    cleaned = datasets.prepare(read, min_rating=least if rating else None, core=core)
    made = datasets.split(cleaned.rows, setting, numpy_stream(seed, "split", setting))
    train_rows, test_rows = made.train, made.test
    for target in (output, *([figure] if figure is not None else [])):
        check_writable(target)
    content = datasets.archive_bytes(train_rows, test_rows, cleaned.names, made.middle)
    if output.exists() and output.read_bytes() != content and not force:
        raise PSLError(f"{output} is there with another content; --force replaces it")
    write(output, content)
    for note in cleaned.notes:
        say(f"note: {note}", err)
    out.print(_account(len(read), cleaned, made))
    shown = Table(key("of the split"), Column(setting, justify="right"))
    for name, value in datasets.summary(train_rows, test_rows).items():
        shown.add_row(name, f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.4g}")
    out.print(shown)
    if figure is not None:
        from companion import figures  # no other command draws: matplotlib loads where it is needed

        order = train_rows["item"].value_counts().index
        sides = {"train": train_rows, "test": test_rows}
        figures.use_style()
        counts = {
            k: side["item"].value_counts().reindex(order, fill_value=0).to_numpy()
            for k, side in sides.items()
        }
        drawn = BytesIO()
        figures.popularity(counts).savefig(drawn, format=figure.suffix[1:].lower())
        write(figure, drawn.getvalue())
    say(shlex.join(["psl", "train", "--dataset", str(output)]))


def _account(read: int, cleaned: datasets.Cleaned, made: datasets.Split) -> Table:
    """Return what became of each row; each block adds up to the number above it."""
    table = Table(key("what became of the rows"), Column("rows", justify="right"))
    table.add_row("rows of the table", f"{read:,}")
    for reason, count in cleaned.left_out.items():
        table.add_row(f"  left out: {reason}", f"{count:,}")
    table.add_row("  pairs to split", f"{len(cleaned.rows):,}")
    for name, rows in (("train", made.train), ("test", made.test)):
        table.add_row(f"    {name}", f"{len(rows):,}")
    if len(made.middle):
        words = "    middle: not trained on, not tested; kept for --refit"
        table.add_row(words, f"{len(made.middle):,}")
    for reason, count in made.left_out.items():
        table.add_row(f"    left out: {reason}", f"{count:,}")
    return table
