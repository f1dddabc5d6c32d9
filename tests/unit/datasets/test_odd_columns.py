"""Columns of one's own table that would be read as something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion import datasets
from interaction_tables import parquet
from psl.errors import DataError


def test_dates_and_durations_are_no_ratings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken as numbers they would be nanoseconds, and every row above any threshold."""
    rows = pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "timestamp": 0})
    for odd in (pd.date_range("2020", periods=2), pd.to_timedelta([1, 2], unit="s")):
        with pytest.raises(DataError, match=r"'rating' \(rating\) must hold numbers"):
            parquet(rows.assign(rating=odd), tmp_path, monkeypatch)


@pytest.mark.parametrize(("kind", "largest"), [("float32", 2**24), ("float64", 2**53)])
def test_names_that_a_number_cannot_tell_apart(
    kind: str, largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "rating": 4, "timestamp": 0})
    fit, too_large = (np.array([n, n + 1]).astype(kind) for n in (largest - 2, largest - 1))
    names = parquet(rows.assign(user=fit), tmp_path, monkeypatch)["user"].tolist()
    assert names == [str(largest - 2), str(largest - 1)]
    with pytest.raises(DataError, match="must hold names or whole numbers"):
        parquet(rows.assign(user=too_large), tmp_path, monkeypatch)


def test_a_dot_is_no_decimal_where_a_comma_is(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user;item;n\na;x;1.234\nb;y;2.500\n")
    with pytest.raises(
        DataError, match=r"dot where decimals follow a comma, in '1\.234' in line 2"
    ):
        datasets.read_table(path, rating="n", separator=";", decimal=",")
    for odd in ("'", '"', "\t", "-", "\0"):
        with pytest.raises(DataError, match="no mark of decimals"):
            datasets.read_table(path, rating="n", separator=";", decimal=odd)


def test_the_second_of_two_columns_has_no_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,item,user\na,x,b\n")
    with pytest.raises(DataError, match=r"no column 'user\.1'; it has: user, item, user"):
        datasets.read_table(path, user="user.1")


def test_a_quote_left_open_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('user,item\na,"x\nb,y\nc,z"\nd,w\n')
    notes = datasets.prepare(datasets.read_table(path), core=1).notes
    assert len(notes) == 1 and "1 names of items go over several lines, as 'x\\nb,y" in notes[0]
