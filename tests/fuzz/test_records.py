"""Lines that are no records: a typed error that names file and line, the same by every command."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from companion import records
from companion.cli.records import records_check, records_merge, records_show
from psl.errors import RecordError
from run_records import record, sealed

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**63, 10**400, "", "a\nb", "../x", "\ud800", "NaN", [], {}])
    | st.floats()
    | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a value, the value itself first."""
    inside = list(value.items()) if isinstance(value, dict) else []
    inside = list(enumerate(value)) if isinstance(value, list) else inside
    return [path, *(p for key, inner in inside for p in places(inner, (*path, key)))]


@st.composite
def changed_records(draw: st.DrawFn) -> bytes:
    """A record in which some values are others, are gone, or are new; its digests are right."""
    entry: Any = copy.deepcopy(record())
    for _ in range(draw(st.integers(0, 3))):
        *way, last = draw(st.sampled_from(places(entry)[1:]))
        holder = entry
        for key in way:
            holder = holder[key]
        what = draw(st.sampled_from(("other", "gone", "new")))
        if what == "gone":
            del holder[last]
        elif what == "new" and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(VALUES)
        else:
            holder[last] = draw(VALUES)
    if "config" in entry and draw(st.booleans()):
        entry["run_id"] = records.run_id(entry["config"])
    return json.dumps(sealed(entry)).encode()


@st.composite
def damaged_lines(draw: st.DrawFn) -> bytes:
    """A record's line with bytes of it changed, gone, doubled or cut off."""
    line = json.dumps(record()).encode()
    for _ in range(draw(st.integers(1, 3))):
        at, to = sorted(draw(st.tuples(*[st.integers(0, len(line))] * 2)))
        middle = draw(
            st.sampled_from([b"", line[at:to] * 2, b"[" * 10**5, b"9" * 5000, b"NaN", b"\\ud800"])
            | st.binary(max_size=4)
        )
        line = line[:at] + middle + line[draw(st.sampled_from([at, to])) :]
    return line


LINES = changed_records() | damaged_lines() | VALUES.map(lambda v: json.dumps(v).encode())


def verdict(call: Callable[[], Any]) -> str | None:
    """What a command refuses a folder with, if it does."""
    try:
        call()
    except RecordError as error:
        return str(error)
    except typer.Exit as end:
        return f"status {end.exit_code}"
    return None


def judge(line: bytes) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place) / "results"
        folder.mkdir()
        file = folder / "test.jsonl"
        file.write_bytes(json.dumps(record(1)).encode() + b"\n" + line + b"\n")
        wrong = verdict(lambda: records.read(folder))
        check, show, merge = (
            verdict(call)
            for call in (
                lambda: records_check(folder),
                lambda: records_show(folder),
                lambda: records_merge([folder], Path(place) / "into"),
            )
        )
        assert check == (None if wrong is None else "status 2") and show == merge == wrong
        if wrong is not None:
            assert re.match(re.escape(str(file)) + r":[2-9]\d*: .", wrong), wrong
            assert len(wrong.splitlines()) == 1 and len(wrong) < 500
            wrong.encode()


EXAMPLES = [200, pytest.param(5000, marks=pytest.mark.soak)]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_line_is_a_record_or_a_typed_error(examples: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    bounds = settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=checks
    )
    bounds(given(LINES)(judge))()
