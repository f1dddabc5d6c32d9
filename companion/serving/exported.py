"""The file of ``psl train --save``, and pairs of users and items in its numbering."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from companion import datasets
from psl.dataset import Dataset
from psl.errors import DataError, PSLError
from psl.interactions import Interactions
from psl.training import export
from psl.training.export import Embeddings

__all__ = ["Exported", "Pairs", "read_exported"]

SEEN = "; --seen names a table or archive of what users have, --include-seen leaves nothing out"


class Pairs(NamedTuple):
    """Pairs of a table in the numbering of a file.

    Attributes
    ----------
    pairs : Interactions or None
        ``None`` where the file knows none of them.
    unknown : int
        Rows left out: of a user or an item that the file does not know.
    """

    pairs: Interactions | None
    unknown: int


@dataclass(frozen=True, eq=False)
class Exported:
    """The embeddings of a file, with the rows of its users and items by name.

    Attributes
    ----------
    path : Path
    kept : Embeddings
    """

    path: Path
    kept: Embeddings

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration of the run, as far as the file tells it."""
        try:
            found = json.loads(self.kept.about.get("config", ""))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def fitted_whole(self) -> bool:
        """Whether the model was fitted on all pairs of its data, the test pairs too."""
        return self.kept.about.get("trained_on") == "all"

    def names(self, side: str) -> Sequence[str]:
        """Return what users or items are called, by row: by its number where no name is known."""
        ids = self.kept.user_ids if side == "user" else self.kept.item_ids
        return ids if ids is not None else self._numbers[side]

    @cached_property
    def _numbers(self) -> dict[str, list[str]]:
        tables = {"user": self.kept.users, "item": self.kept.items}
        return {side: [str(row) for row in range(len(table))] for side, table in tables.items()}

    @cached_property
    def _rows(self) -> dict[str, pd.Index]:
        return {side: pd.Index(self.names(side), dtype=object) for side in ("user", "item")}

    def rows(self, side: str, names: Sequence[str]) -> np.ndarray:
        """Return the rows of users or items.

        Raises
        ------
        DataError
            If the file does not know one of them, or knows several of one name.
        """
        index = self._rows[side]
        for name in names:
            if name not in index:
                count, example = len(index), index[0] if len(index) else ""
                raise DataError(
                    f"{self.path} has no {side} {name!r}; it has {count:,}, the first is "
                    f"{example!r}"
                )
        return self._found(side, names)

    def _found(self, side: str, names: Sequence[str]) -> np.ndarray:
        index = self._rows[side]
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise DataError(f"{self.path} has two {side}s {twice!r}")
        return np.asarray(index.get_indexer(pd.Index(names, dtype=object)))

    def pairs(self, table: pd.DataFrame) -> Pairs:
        """Return the pairs of a table, columns ``user`` and ``item`` of names."""
        users, items = (self._found(side, table[side].tolist()) for side in ("user", "item"))
        known = (users >= 0) & (items >= 0)
        sizes = len(self.kept.users), len(self.kept.items)
        found = Interactions.from_pairs(users[known], items[known], *sizes) if any(known) else None
        return Pairs(found, int((~known).sum()))

    def check_data(self, data: Dataset) -> None:
        """Refuse data that the model was not trained on: its numbers are of others.

        Raises
        ------
        DataError
        """
        if data.fingerprint != self.kept.about.get("dataset_fingerprint"):
            raise DataError(
                f"{self.path} was not trained on {data.name} ({data.setting}) as it is here, so "
                "users and items may be others; a table of their names will do"
            )
        sizes = (data.train.num_users, data.train.num_items)
        if sizes != (len(self.kept.users), len(self.kept.items)):
            raise DataError(f"{self.path} is of other users and items than {data.name}")

    def check_comparable(self, other: Exported) -> None:
        """Refuse a file of other data: its users are no pairs with those of this one.

        Raises
        ------
        DataError
        """
        mine, its = (x.kept.about.get("dataset_fingerprint") for x in (self, other))
        shapes = [(len(x.kept.users), len(x.kept.items)) for x in (self, other)]
        if mine is None or mine != its or shapes[0] != shapes[1]:
            raise DataError(
                f"{self.path} and {other.path} were not trained on the same data: evaluate each "
                "alone"
            )

    def training_data(self) -> Dataset:
        """Find what the model was trained on: by name, or an archive here or beside the file.

        Raises
        ------
        DataError
            If it is not there, or not the same any more.
        """
        name, setting = (str(self.config.get(key)) for key in ("dataset", "setting"))
        places: list[Path | str] = [name]
        if name.lower().endswith(".zip"):
            places = [Path(name), self.path.parent / name]
            places = [place for place in places if Path(place).is_file()]
            if not places:
                raise DataError(f"{name}, which {self.path} was trained on, is not here{SEEN}")
        try:
            data = datasets.load(places[0], setting)
            self.check_data(data)
        except PSLError as error:
            raise DataError(f"what users have is not known ({error}){SEEN}") from error
        return data


def read_exported(path: Path | str, device: torch.device | str = "cpu") -> Exported:
    """Read a file of ``psl train --save``; DataError as :func:`psl.training.export.load`."""
    kept = export.load(path)
    users, items = kept.users.to(device), kept.items.to(device)
    return Exported(Path(path), replace(kept, users=users, items=items))
