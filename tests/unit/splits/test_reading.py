"""One's own table: what is in it comes out of it, and clear words for what is no table."""

from __future__ import annotations

import bz2
import gzip
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interaction_tables import table
from psl.datasets import splits
from psl.errors import DataError


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "CSV", "Tsv.gz"])
def test_reading(kind: str, tmp_path: Path) -> None:
    path, comma = tmp_path / f"t.{kind}", "csv" in kind.lower()
    table().assign(user=range(3000)).to_csv(path, sep="," if comma else "\t", index=False)
    rows = splits.read_table(str(path), user="user", item="item", rating="rating", timestamp=None)
    assert list(rows) == ["user", "item", "rating"] and len(rows) == 3000
    assert rows["user"][7] == "7", "a numeric name stays a name"


def test_a_name_is_a_name_whatever_it_looks_like(tmp_path: Path) -> None:
    names = ["NA", "null", "nan", "None", "N/A", "-", "007", " "]
    pairs = pd.DataFrame({"user": names, "item": names[::-1], "rating": 4})
    for kind, sep in (("csv", ","), ("tsv", "\t")):
        pairs.to_csv(tmp_path / f"t.{kind}", sep=sep, index=False)
        rows = splits.read_table(tmp_path / f"t.{kind}", rating="rating")
        assert rows["user"].tolist() == names and rows["item"].tolist() == names[::-1]
    # They come out of the archive as they went in.
    numbered, found = splits.prepare(rows, core=1)[:2]
    splits.write_archive(tmp_path / "mine.zip", numbered, numbered.iloc[:0], found)
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        lines = archive.read("user_list.tsv").decode().splitlines()[1:]
    assert [line.split("\t")[0] for line in lines] == sorted(names)


@pytest.mark.parametrize("missing", ["", "NA", "null", "nan"])
def test_a_number_that_is_not_there_is_empty(missing: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"user,item,stars\n1,2,5\n1,3,{missing}\n")
    with pytest.raises(DataError, match="the rating is empty in line 3"):
        splits.read_table(tmp_path / "t.csv", rating="stars")


def test_a_column_that_is_not_named_is_user_or_item(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("uid,sku\n1,2\n")
    with pytest.raises(DataError, match="no column 'item'; it has: uid, sku"):
        splits.read_table(tmp_path / "t.csv", user="uid")
    with pytest.raises(DataError, match="no column 'user'; it has: uid, sku"):
        splits.read_table(tmp_path / "t.csv", item="sku")
    assert list(splits.read_table(tmp_path / "t.csv", user="uid", item="sku")) == ["user", "item"]


def test_parquet_or_a_word_on_how_to_read_it(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    try:
        table().to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1")
        with pytest.raises(DataError, match="needs pyarrow"):
            splits.read_table(path, user="user", item="item")
        return
    assert len(splits.read_table(path, user="user", item="item")) == 3000


def parquet(rows: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Read a table as if a Parquet file had held it, whether pyarrow is installed or not."""
    (folder / "t.parquet").touch()
    monkeypatch.setattr(pd, "read_parquet", lambda _: rows)
    return splits.read_table(folder / "t.parquet", rating="rating", timestamp="timestamp")


@pytest.mark.parametrize("kind", ["int64", "float64", "Int64", "str"])
def test_a_table_gives_the_same_split_from_either_kind_of_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table()
    for column in ("user", "item"):
        rows[column] = rows[column].str[1:].astype(int)
    rows.to_csv(tmp_path / "t.csv", index=False)
    names = {"rating": "rating", "timestamp": "timestamp"}
    from_csv = splits.read_table(tmp_path / "t.csv", **names)
    from_parquet = parquet(rows.astype({"user": kind, "item": kind}), tmp_path, monkeypatch)
    pd.testing.assert_frame_equal(from_csv, from_parquet)
    assert splits.prepare(from_csv, core=5)[1] == splits.prepare(from_parquet, core=5)[1]


@pytest.mark.parametrize(
    ("entries", "seconds"),
    [
        (["7", "3"], [7, 3]),
        (["1970-01-02", "1970-01-01T00:00:01.5Z"], [86400, 1.5]),
        (["1970-01-01 01:00:00+01:00", "1969-12-31T23:59:59"], [0, -1]),
    ],
)
def test_times_are_numbers_or_dates(
    entries: list[str], seconds: list[float], tmp_path: Path
) -> None:
    lines = [f"u,i{k},{entry}" for k, entry in enumerate(entries)]
    (tmp_path / "t.csv").write_text("\n".join(["user,item,timestamp", *lines]))
    read = splits.read_table(tmp_path / "t.csv", timestamp="timestamp")
    assert read["timestamp"].tolist() == seconds


def test_parquet_has_a_type_for_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for zone, hours in ((None, 1), ("Etc/GMT-2", -1)):  # two hours ahead of UTC
        rows = table().head(2)
        rows["timestamp"] = pd.to_datetime(["1970-01-01 01:00"] * 2).tz_localize(zone)
        assert parquet(rows, tmp_path, monkeypatch)["timestamp"].tolist() == [3600 * hours] * 2


def test_a_time_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,item,timestamp\nu,i,2024-01-01\nu,j,yesterday\n")
    with pytest.raises(DataError, match=r"\(timestamp\) must hold numbers, or times .*'yesterday'"):
        splits.read_table(tmp_path / "t.csv", timestamp="timestamp")


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
        splits.read_table(tmp_path / "t.csv", user="x", item="x")
    with pytest.raises(DataError, match="the column 'y' cannot be both item and rating"):
        splits.read_table(tmp_path / "t.csv", user="x", item="y", rating="y")


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz"])
def test_the_line_of_an_empty_entry_is_that_of_the_file(kind: str, tmp_path: Path) -> None:
    text = '\nuser,item,note\n\n1,2,"two\n\nlines"\n  \n,3,\n'
    path = tmp_path / f"t.{kind}"
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    if kind == "tsv":
        path.write_text(text.replace(",", "\t"))
    with pytest.raises(DataError, match=r"the user is empty in line 8$"):
        splits.read_table(path)


@pytest.mark.parametrize(
    ("name", "separator"),
    [("t.csv", ";"), ("ratings.dat", "::"), ("u.data", "\t"), ("t.txt", "|"), ("t.csv", "||")],
)
@pytest.mark.parametrize("header", [True, False])
def test_any_separator_with_a_header_or_without(
    name: str, separator: str, header: bool, tmp_path: Path
) -> None:
    rows = [["uid", "sku", "stars", "when"]] * header + [["007", "a,b", "4.5", "9"], ["NA", "c"]]
    rows[-1] += ["2", "8"]
    text = "\n".join(separator.join(row) for row in rows)
    (tmp_path / name).write_text(text + "\n\n")
    names = ("uid", "sku", "stars", "when") if header else "1234"
    given = dict(zip(("user", "item", "rating", "timestamp"), names, strict=True))
    read = splits.read_table(tmp_path / name, **given, separator=separator, header=header)
    assert read.to_numpy().tolist() == [["007", "a,b", 4.5, 9], ["NA", "c", 2, 8]]
    (tmp_path / name).write_text(text.replace("NA", ""))
    with pytest.raises(DataError, match=f"the user is empty in line {2 + header}$"):
        splits.read_table(tmp_path / name, **given, separator=separator, header=header)


def test_a_header_that_is_too_short_shifts_nothing(tmp_path: Path) -> None:
    """As where a program has written row names without a name for them."""
    (tmp_path / "t.csv").write_text("user,item\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="not a table: Length of header"):
        splits.read_table(tmp_path / "t.csv")


def test_what_a_table_without_header_or_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2\n3,4\n")
    with pytest.raises(DataError, match=r"no column 'user'; it has: 1, 2$"):
        splits.read_table(tmp_path / "t.csv", header=False)
    for wrong in ("", '"', "\n"):
        with pytest.raises(DataError, match="separates no entries"):
            splits.read_table(tmp_path / "t.csv", separator=wrong)
    for words in ({"separator": ","}, {"header": False}):
        with pytest.raises(DataError, match="a Parquet file has no separator"):
            splits.read_table(tmp_path / "t.parquet", **words)
    (tmp_path / "t.csv").write_text("user;item\n1;2\n")
    with pytest.raises(DataError, match=r"it has: user;item \(is ',' the separator\?\)$"):
        splits.read_table(tmp_path / "t.csv")


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
        splits.read_table(tmp_path / name, user="user", item="item")


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        splits.read_table(tmp_path / "gone.csv", user="user", item="item")
    (tmp_path / "t.csv").write_text("user,item,stars\n1,2,good\n")
    with pytest.raises(DataError, match="must hold numbers"):
        splits.read_table(tmp_path / "t.csv", user="user", item="item", rating="stars")
    few = pd.DataFrame({"user": [0, 0], "item": [0, 1]})
    with pytest.raises(DataError, match="too few"):
        splits.split(few, "popularity", np.random.default_rng(0))


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
        splits.read_table(path)


def test_times_far_from_ours_are_times(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,item,t\na,x,9999-12-31\nb,y,0001-01-01\n")
    # 2932896 days after 1970 and 719162 before it.
    times = splits.read_table(path, timestamp="t")["timestamp"]
    assert times.tolist() == [2932896 * 86400, -719162 * 86400]


def test_a_name_of_two_lines(tmp_path: Path) -> None:
    """A line feed is kept on the whole way; a carriage return alone would be lost on it."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'user,item\n"one\rname",x\n')
    with pytest.raises(DataError, match=r"\('user'|'user' \(user\) holds a carriage return"):
        splits.read_table(path)


def test_other_compressions_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.bz2"
    path.write_bytes(bz2.compress(b"user,item\na,x\n"))
    for options in ({}, {"separator": ","}):
        with pytest.raises(DataError, match=r"a\.csv\.bz2: (give a \.csv|not a table)"):
            splits.read_table(path, **options)


TEXT = "user;item;stars\nRené;Käse;4,5\nZoë;Käse;2,5\n"


@pytest.mark.parametrize("kind", ["csv", "csv.gz"])
@pytest.mark.parametrize(
    ("encoding", "remedy"),
    [("latin-1", "latin-1"), ("cp1252", "cp1252"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16")],
)
def test_another_encoding_is_read_where_it_is_named_and_guessed_where_not(
    kind: str, encoding: str, remedy: str, tmp_path: Path
) -> None:
    content = TEXT.encode(encoding)
    path = tmp_path / f"t.{kind}"
    path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    given = {"separator": ";", "decimal": ",", "rating": "stars"}
    rows = splits.read_table(path, encoding=encoding, **given)
    assert rows.to_numpy().tolist() == [["René", "Käse", 4.5], ["Zoë", "Käse", 2.5]]
    with pytest.raises(DataError, match=f"--encoding`? .*{remedy}"):
        splits.read_table(path, **given)
    for wrong in ("latin-9000", "base64"):
        with pytest.raises(DataError, match=wrong):
            splits.read_table(path, encoding=wrong, **given)


def test_the_byte_order_mark_of_utf_8_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("user,item\n1,2\n".encode("utf-8-sig"))
    assert splits.read_table(tmp_path / "t.csv").to_numpy().tolist() == [["1", "2"]]
    one = splits.read_table(tmp_path / "t.csv", user="1", item="2", header=False)
    assert one["user"].tolist() == ["user", "1"]


def test_decimal_commas_are_said_to_be_such(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TEXT, encoding="utf-8")
    with pytest.raises(DataError, match=r"numbers, got '4,5' in line 2; is it --decimal ','\?$"):
        splits.read_table(tmp_path / "t.csv", separator=";", rating="stars")
    for mark in (";", "", "..", "5"):
        with pytest.raises(DataError, match="is no mark of decimals"):
            splits.read_table(tmp_path / "t.csv", separator=";", decimal=mark)


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
        splits.read_table(tmp_path / "t.csv", rating="stars")
    (tmp_path / "t.dat").write_text(text.replace(",", "::"))
    with pytest.raises(DataError):
        splits.read_table(tmp_path / "t.dat", rating="stars", separator="::")


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
        splits.read_table(tmp_path / "t.csv", timestamp="timestamp")


def test_nanoseconds_as_whole_numbers_stay_apart(tmp_path: Path) -> None:
    times = [1600000000000000001, 1600000000000000002]
    lines = [f"u,i{k},{t}" for k, t in enumerate(times)]
    (tmp_path / "t.csv").write_text("\n".join(["user,item,timestamp", *lines]))
    assert splits.read_table(tmp_path / "t.csv", timestamp="timestamp")["timestamp"].tolist() == (
        times
    )


def test_what_parquet_alone_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pd.DataFrame({"user": ["a", "b"], "item": [1, 2], "timestamp": [Decimal(3), Decimal(4)]})
    rows["rating"] = [Decimal("4.5"), Decimal("2.0")]
    assert parquet(rows, tmp_path, monkeypatch)["rating"].tolist() == [4.5, 2]
    assert parquet(rows, tmp_path, monkeypatch)["timestamp"].tolist() == [3, 4]
    twice = pd.concat([rows, rows["user"]], axis=1)
    with pytest.raises(DataError, match="2 columns 'user'"):
        parquet(twice, tmp_path, monkeypatch)
    for entry in (["a", "b"], {"a": 1}, b"a", 1.5, ("a",)):
        listed = rows.assign(user=pd.Series(["a", entry], dtype=object))
        with pytest.raises(DataError, match=r"names or whole numbers, got .* in row 2"):
            parquet(listed, tmp_path, monkeypatch)
    large = rows.assign(user=[2.0**53, 2.0**53 + 2])
    with pytest.raises(DataError, match="names or whole numbers"):
        parquet(large, tmp_path, monkeypatch)


def test_a_folder_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(DataError, match=r"t\.csv: a folder"):
        splits.read_table(tmp_path / "t.csv")


def test_an_entry_longer_than_the_line_counter_takes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"user,item\n{'a' * 200_000},1\n,2\n")
    with pytest.raises(DataError, match="the user is empty in row 2"):
        splits.read_table(tmp_path / "t.csv")


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
        splits.read_table(path, rating="n", separator=";", decimal=",")
    for odd in ("'", '"', "\t", "-", "\0"):
        with pytest.raises(DataError, match="no mark of decimals"):
            splits.read_table(path, rating="n", separator=";", decimal=odd)


def test_the_second_of_two_columns_has_no_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,item,user\na,x,b\n")
    with pytest.raises(DataError, match=r"no column 'user\.1'; it has: user, item, user"):
        splits.read_table(path, user="user.1")


def test_a_quote_left_open_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('user,item\na,"x\nb,y\nc,z"\nd,w\n')
    notes = splits.prepare(splits.read_table(path), core=1).notes
    assert len(notes) == 1 and "1 names of items go over several lines, as 'x\\nb,y" in notes[0]
