"""Tables that would be read wrongly: refused, with the line and what to do."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion import datasets
from interaction_tables import DECIMAL_COMMAS, parquet
from psl.errors import DataError


def test_a_time_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,item,timestamp\nu,i,2024-01-01\nu,j,yesterday\n")
    with pytest.raises(DataError, match=r"\(timestamp\) must hold numbers, or times .*'yesterday'"):
        datasets.read_table(tmp_path / "t.csv", timestamp="timestamp")


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ([1.0, 2.5], r"'user' \(user\) must hold names or whole numbers, got 2\.5"),
        ([1.0, float("inf")], "whole numbers, got inf"),
        ([1.0, float("nan")], "the user is empty in row 2"),
    ],
)
def test_numbers_that_are_no_names(
    user: list[float], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame({"user": user, "item": [1, 2], "rating": 5, "timestamp": 1})
    with pytest.raises(DataError, match=words):
        parquet(rows, tmp_path, monkeypatch)


def test_one_column_is_one_thing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="the column 'x' cannot be both user and item"):
        datasets.read_table(tmp_path / "t.csv", user="x", item="x")
    with pytest.raises(DataError, match="the column 'y' cannot be both item and rating"):
        datasets.read_table(tmp_path / "t.csv", user="x", item="y", rating="y")


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz"])
def test_the_line_of_an_empty_entry_is_that_of_the_file(kind: str, tmp_path: Path) -> None:
    text = '\nuser,item,note\n\n1,2,"two\n\nlines"\n  \n,3,\n'
    path = tmp_path / f"t.{kind}"
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    if kind == "tsv":
        path.write_text(text.replace(",", "\t"))
    with pytest.raises(DataError, match=r"the user is empty in line 8$"):
        datasets.read_table(path)


def test_a_header_that_is_too_short_shifts_nothing(tmp_path: Path) -> None:
    """As where a program has written row names without a name for them."""
    (tmp_path / "t.csv").write_text("user,item\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="not a table: Length of header"):
        datasets.read_table(tmp_path / "t.csv")


def test_what_a_table_without_header_or_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2\n3,4\n")
    with pytest.raises(DataError, match=r"no column 'user'; it has: 1, 2$"):
        datasets.read_table(tmp_path / "t.csv", header=False)
    for wrong in ("", '"', "\n"):
        with pytest.raises(DataError, match="separates no entries"):
            datasets.read_table(tmp_path / "t.csv", separator=wrong)
    for words in ({"separator": ","}, {"header": False}):
        with pytest.raises(DataError, match="a Parquet file has no separator"):
            datasets.read_table(tmp_path / "t.parquet", **words)
    (tmp_path / "t.csv").write_text("user;item\n1;2\n")
    with pytest.raises(DataError, match=r"it has: user;item \(is ',' the separator\?\)$"):
        datasets.read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.xlsx", "x", "give a .csv, .tsv, .txt or .parquet file"),
        ("t.csv", "user,sku\n1,2\n", "no column 'item'; it has: user, sku"),
        ("t.csv", "user,item\n1,2\n,3\n", "the user is empty in line 3"),
        ("t.csv", "user,item\nNA,\n1,2\n", "the item is empty in line 2"),
        ("t.csv", "user,item\n\n1,2\n\n,3\n", "the user is empty in line 5"),
        ("t.csv", "", "not a table"),
        ("t.csv", 'user,item\n"1,2\n', "not a table"),
    ],
)
def test_tables_that_are_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        datasets.read_table(tmp_path / name, user="user", item="item")


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        datasets.read_table(tmp_path / "gone.csv", user="user", item="item")
    (tmp_path / "t.csv").write_text("user,item,stars\n1,2,good\n")
    with pytest.raises(DataError, match="must hold numbers"):
        datasets.read_table(tmp_path / "t.csv", user="user", item="item", rating="stars")
    few = pd.DataFrame({"user": [0, 0], "item": [0, 1]})
    with pytest.raises(DataError, match="too few"):
        datasets.split(few, "popularity", np.random.default_rng(0))


@pytest.mark.parametrize("keep", [8, 20, -1])
def test_a_damaged_file_is_named(keep: int, tmp_path: Path) -> None:
    """Cut off in its first bytes, in its content, and with a byte that is another."""
    whole = gzip.compress("\n".join(["user,item", *(f"u{k},i{k}" for k in range(500))]).encode())
    broken = bytearray(whole if keep < 0 else whole[:keep])
    if keep < 0:
        broken[40] ^= 0xFF
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"mine\.csv\.gz: not a table"):
        datasets.read_table(path)


def test_other_compressions_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.bz2"
    path.write_bytes(bz2.compress(b"user,item\na,x\n"))
    for options in ({}, {"separator": ","}):
        with pytest.raises(DataError, match=r"a\.csv\.bz2: (give a \.csv|not a table)"):
            datasets.read_table(path, **options)


def test_decimal_commas_are_said_to_be_such(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(DECIMAL_COMMAS, encoding="utf-8")
    with pytest.raises(DataError, match=r"numbers, got '4,5' in line 2; is it --decimal ','\?$"):
        datasets.read_table(tmp_path / "t.csv", separator=";", rating="stars")
    for mark in (";", "", "..", "5"):
        with pytest.raises(DataError, match="is no mark of decimals"):
            datasets.read_table(tmp_path / "t.csv", separator=";", decimal=mark)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user,item,item\n1,2,3\n", "2 columns 'item'"),
        ("user,item,stars\n1,2,5\n1,3,inf\n", r"\(rating\) must be finite, got inf in line 3"),
        ("user,item,stars\n1,2,True\n1,3,False\n", r"\(rating\) must hold numbers, got True in"),
        ("user,item,stars\n1,2,5\n1,3,good\n", "must hold numbers, got 'good' in line 3"),
        ("user,item,stars\n", "names its columns, and has no row"),
        ("user,item,stars\n1,2,5,6\n1,2,5,6\n", "not a table: Length of header"),
        ("user,item,stars\n1,2,5\n1,2,5,6\n", "not a table: Error tokenizing"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        datasets.read_table(tmp_path / "t.csv", rating="stars")
    (tmp_path / "t.dat").write_text(text.replace(",", "::"))
    with pytest.raises(DataError):
        datasets.read_table(tmp_path / "t.dat", rating="stars", separator="::")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        # Two of these are one number in floating point.
        (["1600000000000000001.0", "1600000000000000002.0"], "too large to tell times apart"),
        (["5", "inf"], "must be finite, got inf in line 3"),
        (
            ["5", "6", "2024-01-01"],
            "both numbers and times; the fewer, times: '2024-01-01' in line",
        ),
        (["2024-01-01", "2024-01-02", "6"], "both numbers and times; the fewer, numbers: '6' in l"),
        (["5", "6", "soon"], "must hold numbers, or times .*, got 'soon' in line 4"),
        (["True", "False"], "must hold numbers, or times"),
    ],
)
def test_times_that_are_refused(entries: list[str], words: str, tmp_path: Path) -> None:
    lines = [f"u,i{k},{entry}" for k, entry in enumerate(entries)]
    (tmp_path / "t.csv").write_text("\n".join(["user,item,timestamp", *lines]))
    with pytest.raises(DataError, match=words):
        datasets.read_table(tmp_path / "t.csv", timestamp="timestamp")


def test_a_folder_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(DataError, match=r"t\.csv: a folder"):
        datasets.read_table(tmp_path / "t.csv")


def test_an_entry_longer_than_the_line_counter_takes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"user,item\n{'a' * 200_000},1\n,2\n")
    with pytest.raises(DataError, match="the user is empty in row 2"):
        datasets.read_table(tmp_path / "t.csv")
