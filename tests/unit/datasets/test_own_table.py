"""A table of one's own, read: names, numbers, times, encodings."""

from __future__ import annotations

import gzip
import zipfile
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from companion import datasets
from interaction_tables import DECIMAL_COMMAS, parquet, table
from psl.errors import DataError


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "CSV", "Tsv.gz"])
def test_reading(kind: str, tmp_path: Path) -> None:
    path, comma = tmp_path / f"t.{kind}", "csv" in kind.lower()
    table().assign(user=range(3000)).to_csv(path, sep="," if comma else "\t", index=False)
    rows = datasets.read_table(str(path), user="user", item="item", rating="rating", timestamp=None)
    assert list(rows) == ["user", "item", "rating"] and len(rows) == 3000
    assert rows["user"][7] == "7", "a numeric name stays a name"


def test_a_name_is_a_name_whatever_it_looks_like(tmp_path: Path) -> None:
    names = ["NA", "null", "nan", "None", "N/A", "-", "007", " "]
    pairs = pd.DataFrame({"user": names, "item": names[::-1], "rating": 4})
    for kind, sep in (("csv", ","), ("tsv", "\t")):
        pairs.to_csv(tmp_path / f"t.{kind}", sep=sep, index=False)
        rows = datasets.read_table(tmp_path / f"t.{kind}", rating="rating")
        assert rows["user"].tolist() == names and rows["item"].tolist() == names[::-1]
    # They come out of the archive as they went in.
    numbered, found = datasets.prepare(rows, core=1)[:2]
    datasets.write_archive(tmp_path / "mine.zip", numbered, numbered.iloc[:0], found)
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        lines = archive.read("user_list.tsv").decode().splitlines()[1:]
    assert [line.split("\t")[0] for line in lines] == sorted(names)


@pytest.mark.parametrize("missing", ["", "NA", "null", "nan"])
def test_a_number_that_is_not_there_is_empty(missing: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"user,item,stars\n1,2,5\n1,3,{missing}\n")
    with pytest.raises(DataError, match="the rating is empty in line 3"):
        datasets.read_table(tmp_path / "t.csv", rating="stars")


def test_a_column_that_is_not_named_is_user_or_item(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("uid,sku\n1,2\n")
    with pytest.raises(DataError, match="no column 'item'; it has: uid, sku"):
        datasets.read_table(tmp_path / "t.csv", user="uid")
    with pytest.raises(DataError, match="no column 'user'; it has: uid, sku"):
        datasets.read_table(tmp_path / "t.csv", item="sku")
    assert list(datasets.read_table(tmp_path / "t.csv", user="uid", item="sku")) == ["user", "item"]


def test_parquet_or_a_word_on_how_to_read_it(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    try:
        table().to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1")
        with pytest.raises(DataError, match="needs pyarrow"):
            datasets.read_table(path, user="user", item="item")
        return
    assert len(datasets.read_table(path, user="user", item="item")) == 3000


@pytest.mark.parametrize("kind", ["int64", "float64", "Int64", "str"])
def test_a_table_gives_the_same_split_from_either_kind_of_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table()
    for column in ("user", "item"):
        rows[column] = rows[column].str[1:].astype(int)
    rows.to_csv(tmp_path / "t.csv", index=False)
    names = {"rating": "rating", "timestamp": "timestamp"}
    from_csv = datasets.read_table(tmp_path / "t.csv", **names)
    from_parquet = parquet(rows.astype({"user": kind, "item": kind}), tmp_path, monkeypatch)
    pd.testing.assert_frame_equal(from_csv, from_parquet)
    assert datasets.prepare(from_csv, core=5)[1] == datasets.prepare(from_parquet, core=5)[1]


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
    read = datasets.read_table(tmp_path / "t.csv", timestamp="timestamp")
    assert read["timestamp"].tolist() == seconds


def test_parquet_has_a_type_for_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for zone, hours in ((None, 1), ("Etc/GMT-2", -1)):  # two hours ahead of UTC
        rows = table().head(2)
        rows["timestamp"] = pd.to_datetime(["1970-01-01 01:00"] * 2).tz_localize(zone)
        assert parquet(rows, tmp_path, monkeypatch)["timestamp"].tolist() == [3600 * hours] * 2


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
    read = datasets.read_table(tmp_path / name, **given, separator=separator, header=header)
    assert read.to_numpy().tolist() == [["007", "a,b", 4.5, 9], ["NA", "c", 2, 8]]
    (tmp_path / name).write_text(text.replace("NA", ""))
    with pytest.raises(DataError, match=f"the user is empty in line {2 + header}$"):
        datasets.read_table(tmp_path / name, **given, separator=separator, header=header)


def test_times_far_from_ours_are_times(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,item,t\na,x,9999-12-31\nb,y,0001-01-01\n")
    # 2932896 days after 1970 and 719162 before it.
    times = datasets.read_table(path, timestamp="t")["timestamp"]
    assert times.tolist() == [2932896 * 86400, -719162 * 86400]


def test_a_name_of_two_lines(tmp_path: Path) -> None:
    """A line feed is kept on the whole way; a carriage return alone would be lost on it."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'user,item\n"one\rname",x\n')
    with pytest.raises(DataError, match=r"\('user'|'user' \(user\) holds a carriage return"):
        datasets.read_table(path)


@pytest.mark.parametrize("kind", ["csv", "csv.gz"])
@pytest.mark.parametrize(
    ("encoding", "remedy"),
    [("latin-1", "latin-1"), ("cp1252", "cp1252"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16")],
)
def test_another_encoding_is_read_where_it_is_named_and_guessed_where_not(
    kind: str, encoding: str, remedy: str, tmp_path: Path
) -> None:
    content = DECIMAL_COMMAS.encode(encoding)
    path = tmp_path / f"t.{kind}"
    path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    given = {"separator": ";", "decimal": ",", "rating": "stars"}
    rows = datasets.read_table(path, encoding=encoding, **given)
    assert rows.to_numpy().tolist() == [["René", "Käse", 4.5], ["Zoë", "Käse", 2.5]]
    with pytest.raises(DataError, match=f"--encoding`? .*{remedy}"):
        datasets.read_table(path, **given)
    for wrong in ("latin-9000", "base64"):
        with pytest.raises(DataError, match=wrong):
            datasets.read_table(path, encoding=wrong, **given)


def test_the_byte_order_mark_of_utf_8_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("user,item\n1,2\n".encode("utf-8-sig"))
    assert datasets.read_table(tmp_path / "t.csv").to_numpy().tolist() == [["1", "2"]]
    one = datasets.read_table(tmp_path / "t.csv", user="1", item="2", header=False)
    assert one["user"].tolist() == ["user", "1"]


def test_nanoseconds_as_whole_numbers_stay_apart(tmp_path: Path) -> None:
    times = [1600000000000000001, 1600000000000000002]
    lines = [f"u,i{k},{t}" for k, t in enumerate(times)]
    (tmp_path / "t.csv").write_text("\n".join(["user,item,timestamp", *lines]))
    assert datasets.read_table(tmp_path / "t.csv", timestamp="timestamp")["timestamp"].tolist() == (
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
