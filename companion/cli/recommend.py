"""`psl recommend`: lists for users, and items like others, from an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import Progress as Bars
from rich.table import Column, Table
from torch import Tensor

from companion.cli.config_options import takes
from companion.cli.console import Device, err, key, out, print_json, say
from companion.cli.exported_file import TABLE, File, IncludeSeen, SeenIn, known_pairs
from companion.serving import (
    LIST_COLUMNS,
    Exported,
    check_output,
    fold_in,
    ranked,
    read_exported,
    similar,
    write_lists,
)
from companion.writable import check_writable
from psl.errors import PSLError
from psl.interactions import Interactions
from psl.losses import LOSSES
from psl.training.device import find_device

TITLES = {"user": "for user ", "item": "like ", "history": "for "}


@takes(TABLE)
def recommend_command(
    file: File,
    user: Annotated[
        list[str] | None, typer.Option(help="Its list; by name, or number. May be repeated.")
    ] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="Items like this one, by cosine. May be repeated.")
    ] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ITEM,ITEM",
            help="For somebody who was not in training: the items they have. May be repeated.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Lists of all users, into --output.")
    ] = False,
    k: Annotated[int, typer.Option("--k", min=1, help="Length of a list.")] = 20,
    output: Annotated[
        Path | None, typer.Option(help="With --all: the .csv or .parquet to write.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --output.")] = False,
    seen: SeenIn = None,
    include_seen: IncludeSeen = False,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    **table: Any,
) -> None:
    """List what a saved file recommends; what a user has already is left out."""
    if [bool(user), bool(item), bool(history), every].count(True) != 1:
        raise PSLError("give one of --user, --item, --history and --all")
    if every != (output is not None):
        raise PSLError("--all and --output belong together")
    if item and (seen is not None or include_seen):
        raise PSLError("--item asks for items like others, whoever has them: without --seen")
    if history and seen is not None:
        raise PSLError("--history says what they have: without --seen")
    if output is not None:
        check_output(output)
        check_writable(output)
        if output.exists() and not force:
            raise PSLError(f"{output} is there; --force replaces it")
    model = read_exported(file, find_device(device))
    if item:
        _show("item", item, _alike(model, item, k), as_json=as_json)
        return
    if history:
        names, listed = _of_history(model, history, k, include=include_seen)
        _show("history", [", ".join(names)], [listed], as_json=as_json)
        return
    users = model.rows("user", user or [])
    known = known_pairs(model, seen, table, include=include_seen, tests=True)
    if output is not None:
        _write_all(model, known.pairs, k, output)
    else:
        found = _lists(model, users.tolist(), known.pairs, k)
        _show("user", user or [], found, as_json=as_json)
    if not as_json:
        say(known.words)


def _alike(model: Exported, items: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
    names, found = model.names("item"), []
    for row in model.rows("item", items).tolist():
        index, cosines = similar(model.kept.items, row, k)
        pairs = zip(index.tolist(), cosines.tolist(), strict=True)
        found.append([(names[i], cosine) for i, cosine in pairs])
    return found


def _of_history(
    model: Exported, given: Sequence[str], k: int, *, include: bool
) -> tuple[list[str], list[tuple[str, float]]]:
    """Return the items of a history, and the list for whoever has it."""
    known, items = set(model.names("item")), model.kept.items
    # A name may hold a comma.
    parts = ([text] if text in known else text.split(",") for text in given)
    names = list(dict.fromkeys(part for some in parts for part in some))
    own = model.rows("item", names)
    loss = LOSSES.get(str(model.config.get("loss")))
    tau = {"tau": float(model.config["tau"])} if loss is not None and loss.tau else {}
    user = fold_in(items, own, **tau)
    seen = None if include else Interactions.from_pairs(0 * own, own, 1, len(items))
    (found,) = _of_users(model, user[None], torch.zeros(1, dtype=torch.int64), seen, k)
    return names, found


def _lists(
    model: Exported, users: list[int], seen: Interactions | None, k: int
) -> list[list[tuple[str, float]]]:
    return _of_users(model, model.kept.users, torch.tensor(users), seen, k)


def _of_users(
    model: Exported, users: Tensor, chosen: Tensor, seen: Interactions | None, k: int
) -> list[list[tuple[str, float]]]:
    names, items, found = model.names("item"), model.kept.items, []
    for block in ranked(users, items, chosen.to(items.device), seen, k):
        for row, scores in zip(block.items.tolist(), block.best.tolist(), strict=True):
            pairs = zip(row, scores, strict=True)
            found.append([(names[i], score) for i, score in pairs if score > -torch.inf])
    return found


def _show(
    side: str, asked: Sequence[str], lists: list[list[tuple[str, float]]], *, as_json: bool
) -> None:
    words = "cosine" if side == "item" else "score"
    if as_json:
        print_json(
            [
                {side: name, "items": [{"item": i, words: score} for i, score in some]}
                for name, some in zip(asked, lists, strict=True)
            ]
        )
        return
    for name, some in zip(asked, lists, strict=True):
        table = Table(
            Column("rank", justify="right"),
            key("item"),
            Column(words, justify="right"),
            title=TITLES[side] + name,
            title_justify="left",
        )
        for rank, (i, score) in enumerate(some, start=1):
            table.add_row(str(rank), i, f"{score:+.4f}")
        out.print(table)


def _write_all(model: Exported, seen: Interactions | None, k: int, output: Path) -> None:
    """Write the lists of all users, block by block; a stopped command leaves nothing."""
    count = len(model.kept.users)
    try:
        with Bars(*Bars.get_default_columns(), console=err, disable=not err.is_terminal) as bars:
            task = bars.add_task("users", total=count)
            rows = write_lists(
                output, model, seen, k, progress=lambda done: bars.update(task, advance=done)
            )
    except KeyboardInterrupt:
        say(f"stopped; {output} was not written, the same command begins anew", err)
        raise typer.Exit(130) from None
    say(f"{rows:,} places of {count:,} users in {output}, columns {', '.join(LIST_COLUMNS)}")
