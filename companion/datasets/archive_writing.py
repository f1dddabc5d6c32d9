"""The two sets and their names as an archive of the public datasets' layout, with a summary."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from companion.datasets.entries import COLUMNS
from psl.files import replace_file

__all__ = ["archive_bytes", "summary", "write_archive"]


def summary(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    """Return counts, density, and how much of each side belongs to train's top fifth of items."""
    users, items = train["user"].nunique(), train["item"].nunique()
    popular = train["item"].value_counts(sort=False)
    top = popular.nlargest(max(items // 5, 1)).index
    return {
        "users": users,
        "items": items,
        "train": len(train),
        "test": len(test),
        "density": (len(train) + len(test)) / (users * items),
        "median train per user": float(train["user"].value_counts().median()),
        "users without test": users - test["user"].nunique(),
        "top fifth of items, share of train": float(train["item"].isin(top).mean()),
        "top fifth of items, share of test": float(test["item"].isin(top).mean()),
    }


def write_archive(
    path: Path | str,
    train: pd.DataFrame,
    test: pd.DataFrame,
    names: dict[str, list[str]],
    middle: pd.DataFrame | None = None,
) -> None:
    """Write the layout of the public datasets: two tables of ids, two lists of names, a summary.

    Users and items that the split left without a training row are taken out and the ids numbered
    anew, so the names in the lists are those of the ids in the tables.

    Parameters
    ----------
    path : Path
        A file that is there is replaced; folders above it are made.
    train, test : DataFrame
        As :func:`split` gives them: columns ``user`` and ``item``, of numbers.
    names : dict
        ``"user"`` and ``"item"``: the names by number, as :func:`prepare` gives them.
    middle : DataFrame, optional
        What is known and neither trained on nor tested; kept as ``middle.tsv`` if it has rows.
    """
    replace_file(path, archive_bytes(train, test, names, middle))


def archive_bytes(
    train: pd.DataFrame,
    test: pd.DataFrame,
    names: dict[str, list[str]],
    middle: pd.DataFrame | None = None,
) -> bytes:
    """Return the content of the archive of :func:`write_archive`: equal tables, equal bytes."""
    sheets, parts = {}, {"train": train, "test": test}
    if middle is not None and len(middle):
        parts["middle"] = middle
    for column in COLUMNS:
        kept = np.unique(train[column])
        for part, rows in parts.items():
            number = np.searchsorted(kept, rows[column].to_numpy())
            parts[part] = rows.assign(**{column: number})
        of = [names[column][i] for i in kept]
        sheets[f"{column}_list"] = pd.DataFrame({"orgid": of, "procid": range(len(of))})
    for part, rows in parts.items():
        rows = rows.sort_values(list(COLUMNS))
        sheets[part] = rows.set_axis(["user_procid", "item_procid"], axis=1)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, text: str) -> None:  # without the date
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)

        for name, sheet in sorted(sheets.items()):
            put(f"{name}.tsv", sheet.to_csv(sep="\t", index=False, lineterminator="\n"))
        lines = (
            f"{key}: {value:g}\n" for key, value in summary(parts["train"], parts["test"]).items()
        )
        put("summary.txt", "".join(lines))
    return content.getvalue()
