"""What the commands on an exported file share: pairs of a table or dataset, and who has what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
import typer

from companion import datasets
from companion.cli.console import err, say
from companion.serving import Exported
from psl.dataset import Dataset
from psl.errors import DataError, PSLError
from psl.interactions import Interactions

__all__ = [
    "TABLE",
    "File",
    "IncludeSeen",
    "Known",
    "SeenIn",
    "is_table",
    "known_pairs",
    "read_pairs",
]

File = Annotated[Path, typer.Argument(help="A .safetensors of `psl train --save`.")]
SeenIn = Annotated[
    str | None,
    typer.Option(
        "--seen",
        help="What users have: a table, or the dataset or archive of the training. Without it the "
        "latter is looked for here and beside the file.",
    ),
]
IncludeSeen = Annotated[
    bool, typer.Option("--include-seen", help="Leave nothing out: what users have is listed too.")
]
# How a table is read, as `psl data split` has it; --user and --item are taken by names.
TABLE: dict[str, Any] = {
    "user_column": Annotated[str | None, typer.Option(help="Of a table.", show_default="user")],
    "item_column": Annotated[str | None, typer.Option(help="Of a table.", show_default="item")],
    "separator": Annotated[
        str | None, typer.Option(help="Of a table, where its ending says it wrongly.")
    ],
    "header": Annotated[
        bool | None, typer.Option(help="Whether line 1 of a table names the columns.")
    ],
    "encoding": Annotated[str | None, typer.Option(help="Of a table.", show_default="utf-8")],
}


class Known(NamedTuple):
    """What users have already.

    Attributes
    ----------
    pairs : Interactions or None
        ``None``: nothing is left out.
    words : str
        For a person.
    counts : Interactions or None
        The pairs that the popularity of items is counted in, where they are known.
    """

    pairs: Interactions | None
    words: str
    counts: Interactions | None


def is_table(name: str) -> bool:
    """Whether a name is a table's: no archive, and no dataset that is registered."""
    registered = {"synthetic", *(known for known, _ in datasets.DATASETS)}
    return not name.lower().endswith(".zip") and name not in registered


def read_dataset(model: Exported, name: str) -> Dataset:
    """Load a dataset in the setting that the model was trained in, and see that it is that one."""
    data = datasets.load(name, str(model.config.get("setting", "iid")))
    model.check_data(data)
    return data


def read_pairs(model: Exported, name: str, given: dict[str, Any]) -> Interactions:
    """Read the pairs of a table; what the file does not know is left out, and counted aloud."""
    options = {key: value for key, value in given.items() if value is not None}
    columns = {side: options.pop(f"{side}_column", side) for side in ("user", "item")}
    if "separator" in options:
        options["separator"] = options["separator"].replace("\\t", "\t")
    table: pd.DataFrame = datasets.read_table(name, **columns, **options)
    found, unknown = model.pairs(table)
    if found is None:
        raise DataError(f"{model.path} knows none of the users and items that {name} pairs")
    if unknown:
        say(f"note: {unknown:,} of {len(table):,} rows of {name} are of users or items that "
            f"{model.path} does not know; they are left out", err)  # fmt: skip
    return found


def known_pairs(
    model: Exported,
    seen: str | None,
    given: dict[str, Any],
    *,
    include: bool,
    tests: bool,
    data: Dataset | None = None,
) -> Known:
    """Find what users have.

    Parameters
    ----------
    model : Exported
    seen : str or None
        As the option.
    given : dict
        How a table is read.
    include : bool
        Nothing is left out of the lists.
    tests : bool
        Whether the test pairs of a dataset are among what users have.
    data : Dataset, optional
        What the model was trained on, where it is loaded already.

    Raises
    ------
    PSLError
        If it is not known.
    """
    if include and seen is not None:
        raise PSLError("--seen and --include-seen exclude each other")
    if seen is not None and is_table(seen):
        pairs = read_pairs(model, seen, given)
        return Known(pairs, f"without what users have in {seen}, {len(pairs):,} pairs", pairs)
    if include and data is None:
        return Known(None, "with what users have already", None)
    if data is None:
        data = model.training_data() if seen is None else read_dataset(model, seen)
    pairs, of = data.known, "" if data.middle is None else " and the middle"
    if tests:
        pairs, of = pairs.union(data.test), " and test" if data.middle is None else ", middle, test"
    if include:
        return Known(None, "with what users have already", pairs)
    words = f"without what users have in train{of} of {data.name}, {len(pairs):,} pairs"
    return Known(pairs, words, pairs)
