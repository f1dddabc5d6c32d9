"""Tables and archives by grammar and by mutation: they load right, or are refused in one line.

Memory is bounded while they are read.  ``--run-soak`` tries 5,000 of each.
"""

from __future__ import annotations

import io
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from companion import datasets
from psl.errors import PSLError

EXAMPLES = [200, pytest.param(5000, marks=pytest.mark.soak)]
ROOM_BYTES = 2**30  # of address space above what the process has at the start of a test

ids = st.integers(0, 6).map(str)
odd_ids = st.sampled_from(
    [
        "",
        "-1",
        "1.5",
        "1e3",
        "NA",
        "nan",
        "inf",
        "x",
        " 2",
        "007",
        "+3",
        "0x1",
        "True",
        "1_0",
        "9" * 25,
    ]
    + [str(2**k + d) for k in (9, 10, 20, 28, 31, 32, 53, 62, 63, 64) for d in (-1, 0, 1)]
)
# Names without what only quotes can hold: a separator, a quote, a line's end.
plain = st.characters(exclude_categories=["Cs"], exclude_characters='\n\r\t,;|"\0')
names = st.text(plain, min_size=1, max_size=4) | st.sampled_from(["NA", "null", "007", " i5", "i5"])
names = names.filter(lambda name: name.strip())
numbers = st.sampled_from(["1", "4.5", "4,5", "-3", "1e400", "inf", "nan", "", "True", "good", "5"])
times = numbers | st.sampled_from(
    ["2024-05-31", "2024-05-31T18:00:00Z", "9999-12-31", str(2**63), "1600000000000000001.0", "x"]
)


@contextmanager
def bounded_memory() -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(examples: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Try as many; the few of every run are the same ones each time."""
    every = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=examples, deadline=None, suppress_health_check=every, database=None,
        derandomize=examples <= 200,
    )  # fmt: skip
    with bounded_memory():
        chosen(given(strategy)(lambda case: check(case)))()


def loaded(read: Callable[[], Any]) -> Any:
    """Return what is read, or None if it is refused, in one line."""
    try:
        return read()
    except PSLError as error:
        said = str(error)
    assert len(said.splitlines()) == 1, said
    return None


@st.composite
def sheets(draw: st.DrawFn, wanted: list[str], columns: dict[str, st.SearchStrategy[str]]) -> Any:
    """Return a header and rows; mostly right, or with a column or an entry too many or too few."""
    header = [*wanted, *draw(st.lists(st.sampled_from([*wanted, "more", ""]), max_size=1))]
    header = draw(st.permutations(header))[draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1])) :]
    entries = [columns.get(name, ids) for name in header]
    rows = draw(st.lists(st.tuples(*entries).map(list), max_size=12))
    if rows and draw(st.integers(0, 4)) == 0:
        row = rows[draw(st.sampled_from([0, -1]))]
        row[:] = row[:-1] if draw(st.booleans()) else [*row, draw(ids | st.just(""))]
    if rows and draw(st.integers(0, 9)) == 0:
        rows = [[*row, "5"] for row in rows]
    return header, rows


def text_of(sheet: tuple[list[str], list[list[str]]], separator: str = "\t") -> str:
    return "".join(separator.join(row) + "\n" for row in [sheet[0], *sheet[1]])


def column(sheet: tuple[list[str], list[list[str]]], name: str) -> list[str]:
    """Return the entries of a column of a sheet that was read: its rows must be no longer."""
    header, rows = sheet
    assert header.count(name) == 1, "a column was chosen from several"
    assert not any("".join(row[len(header) :]) for row in rows), "a row was cut off or shifted"
    return [row[header.index(name)] for row in rows if "".join(row).strip() or len(row) > 1]


PAIR = ["user_procid", "item_procid"]
some_ids = st.integers(0, 12).flatmap(lambda k: odd_ids if k == 0 else ids)
pair_sheets = sheets(PAIR, dict.fromkeys(PAIR, some_ids))
kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", kind) as archive:
        for name, text in members.items():
            archive.writestr(f"{name}.tsv", text)
    return content.getvalue()


def read_all(path: Path) -> Any:
    data = datasets.load(path)
    return data, datasets.id_lists(path, data)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_archives_by_grammar(examples: int, tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"

    def check(sheets_of: dict[str, Any]) -> None:
        path.write_bytes(zipped({n: text_of(s).encode() for n, s in sheets_of.items()}))
        found = loaded(lambda: datasets.load(path))
        if found is None:
            return
        for name, sheet in sheets_of.items():
            pairs = {*zip(*(map(int, column(sheet, side)) for side in PAIR), strict=True)}
            part = getattr(found, name)
            assert {*zip(part.users.tolist(), part.items.tolist(), strict=True)} == pairs

    parts = st.fixed_dictionaries(
        {"train": pair_sheets, "test": pair_sheets}, optional={"middle": pair_sheets}
    )
    fuzz(examples, parts, check)


def valid_members() -> dict[str, bytes]:
    head = "user_procid\titem_procid\n"
    train = head + "".join(f"{k}\t{(3 * k + d) % 9}\n" for k in range(9) for d in (0, 1))
    test = head + "".join(f"{k}\t{(3 * k + 5) % 9}\n" for k in range(9))
    lists = {f"{s}_list": "orgid\tprocid\n" + "".join(f"{s}{k}\t{k}\n" for k in range(9))
             for s in ("user", "item")}  # fmt: skip
    return {n: t.encode() for n, t in {"train": train, "test": test, **lists}.items()}


junk = st.binary(max_size=4) | st.sampled_from(
    [b"\t", b"\n", b"\r", b'"', b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"-", b"9" * 12, b"1e9", b","]
)
edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), junk), min_size=1, max_size=4)


def edited(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Replace some bytes at a place by others."""
    for where, length, new in changes:
        at = int(where * len(content))
        content = content[:at] + new + content[at + length :]
    return content


@pytest.mark.parametrize("examples", EXAMPLES)
def test_archives_by_mutation(examples: int, tmp_path: Path) -> None:
    path, members = tmp_path / "mine.zip", valid_members()

    def check(case: tuple[str, int, list[tuple[float, int, bytes]]]) -> None:
        member, kind, changes = case
        if member == "whole":
            path.write_bytes(edited(zipped(members, kind), changes))
        else:
            made = {**members, member: edited(members[member], changes)}
            path.write_bytes(zipped(made, kind))
        loaded(lambda: read_all(path))

    path.write_bytes(zipped(members))
    assert loaded(lambda: read_all(path)) is not None
    which = st.sampled_from(["whole", *members])
    fuzz(examples, st.tuples(which, st.sampled_from(kinds), edits), check)


COLUMNS = {"user": names, "item": names, "rating": numbers, "timestamp": times}
table_cases = st.tuples(
    st.sampled_from([["user", "item"], ["user", "item", "rating"], list(COLUMNS)]).flatmap(
        lambda wanted: sheets(wanted, {n: COLUMNS[n] for n in wanted})
    ),
    st.sampled_from(["\t", ",", ";", "::"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    st.sampled_from(datasets.SPLITS),
)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_tables_by_grammar(examples: int, tmp_path: Path) -> None:
    """What is read is what is in the file, and comes out of the archive by its names."""
    path, out = tmp_path / "t.csv", tmp_path / "mine.zip"

    def check(case: tuple[Any, str, str, str]) -> None:
        (header, rows), separator, encoding, setting = case
        # What a row is in the file: an entry of "4,5" may be the one that another row lacks.
        sheet = header, [separator.join(row).split(separator) for row in rows]
        has = {n: n for n in ("rating", "timestamp") if n in sheet[0]}
        path.write_bytes(text_of(sheet, separator).encode(encoding, errors="replace"))
        given_ = {"separator": separator, **has}
        read = loaded(lambda: datasets.read_table(path, encoding=encoding, **given_))
        if read is None or encoding == "latin-1":
            return
        for side in ("user", "item"):
            assert read[side].tolist() == column(sheet, side)
        cleaned = loaded(lambda: datasets.prepare(read, core=1))
        if cleaned is None:
            return
        assert len(cleaned.rows) + sum(cleaned.left_out.values()) == len(read)
        made = loaded(lambda: datasets.split(cleaned.rows, setting, np.random.default_rng(0)))
        if made is None:
            return
        parts = {"train": made.train, "test": made.test, "middle": made.middle}
        assert sum(map(len, parts.values())) + sum(made.left_out.values()) == len(cleaned.rows)
        datasets.write_archive(out, made.train, made.test, cleaned.names, made.middle)
        data, lists = read_all(out)
        for name, rows in parts.items():
            part = getattr(data, name)
            assert (0 if part is None else len(part)) == len(rows)
            for u, i in [] if part is None else zip(part.users, part.items, strict=True):
                pair = (lists["user"][u], lists["item"][i])
                assert pair in {
                    (cleaned.names["user"][a], cleaned.names["item"][b]) for a, b in rows.to_numpy()
                }

    fuzz(examples, table_cases, check)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_tables_by_mutation(examples: int, tmp_path: Path) -> None:
    rows = [f"u{k % 7},i{k * k % 11},{k % 5 + 1},2024-05-{k + 1:02}" for k in range(20)]
    valid = "\n".join(["user,item,rating,timestamp", *rows, ""]).encode()
    named = {"rating": "rating", "timestamp": "timestamp"}

    def check(case: tuple[str, str, bool, list[tuple[float, int, bytes]]]) -> None:
        ending, separator, header, changes = case
        path = tmp_path / f"t{ending}"
        path.write_bytes(edited(valid, changes))
        options = named if header else {"user": "1", "item": "2", "rating": "3", "timestamp": "4"}
        loaded(lambda: datasets.read_table(path, **options, separator=separator, header=header))

    separators = st.sampled_from([",", ",", ",", "::", "\t", "\u00a7"])
    endings = st.sampled_from([".csv", ".txt", ".csv.gz"])
    fuzz(examples, st.tuples(endings, separators, st.booleans(), edits), check)
