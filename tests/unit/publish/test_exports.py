"""The ledger and the records for programs: as the schemas say, and as the command prints them."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from companion import claims, dynamics, publish, records

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "results"
SCHEMAS = publish.schemas()
ROWS = [
    {
        **dict.fromkeys(("section", "kind", "statement", "check", "evidence", "from"), 'a, "b"'),
        "id": f"row-{k}",
        "status": status,
        "runs": ["0" * 16] * k,
        "p_value": None,
        "blind": None,
        "tolerance": 0.05,
    }
    for k, status in enumerate(claims.STATUSES)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    publish.write_exports(folder, ROWS, RESULTS)
    return folder


def test_the_schemas_are_schemas(folder: Path) -> None:
    for name, schema in SCHEMAS.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert json.loads((folder / f"{name}.schema.json").read_text("utf-8")) == schema


def test_the_ledger_in_both_forms(folder: Path) -> None:
    assert json.loads((folder / "claims.json").read_text("utf-8")) == ROWS
    jsonschema.validate(ROWS, SCHEMAS["claims"])
    with (folder / "claims.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    for row, wanted in zip(table, ROWS, strict=True):
        assert list(row) == list(SCHEMAS["claims"]["$defs"]["Claim"]["properties"])
        assert row["runs"].split() == wanted["runs"] and row["evidence"] == wanted["evidence"]
        assert row["p_value"] == "" and float(row["tolerance"]) == wanted["tolerance"]


@pytest.mark.parametrize(
    "wrong", [{"status": "splendid"}, {"runs": "abc"}, {"more": 1}, {"p_value": "0.05"}]
)
def test_a_wrong_row_does_not_validate(wrong: dict) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([ROWS[0] | wrong], SCHEMAS["claims"])


def test_every_record_validates_and_has_its_place(folder: Path) -> None:
    text = (folder / "runs.jsonl").read_bytes()
    assert publish.records_digest(RESULTS) == hashlib.sha256(text).hexdigest()
    runs = [json.loads(line) for line in text.splitlines()]
    assert len(runs) == sum(len(p.read_bytes().splitlines()) for p in RESULTS.glob("*.jsonl"))
    valid = jsonschema.Draft202012Validator(SCHEMAS["run"])
    assert [run["run_id"] for run in runs if not valid.is_valid(run)] == []
    assert not valid.is_valid(runs[0] | {"more": 1})
    assert not valid.is_valid({k: v for k, v in runs[0].items() if k != "config"})


def test_every_measured_run_validates_and_has_its_line(folder: Path) -> None:
    lines = (folder / "dynamics.jsonl").read_text("utf-8").splitlines()
    runs = [json.loads(line) for line in lines]
    assert [run["run_id"] for run in runs] == [t.run_id for t in dynamics.read(RESULTS)] and runs
    valid = jsonschema.Draft202012Validator(SCHEMAS["dynamics"])
    assert [run["run_id"] for run in runs if not valid.is_valid(run)] == []
    assert not valid.is_valid(runs[0] | {"more": 1})
    for key in runs[0]:
        assert not valid.is_valid({k: v for k, v in runs[0].items() if k != key}), key


def test_every_trial_validates_and_has_its_line(folder: Path) -> None:
    lines = (folder / "trials.jsonl").read_text("utf-8").splitlines()
    trials = [json.loads(line) for line in lines]
    kept = records.read_trials(RESULTS / "tuning" / "benchmark.jsonl")
    assert trials == [trial.model_dump() for trial in kept] and trials
    valid = jsonschema.Draft202012Validator(SCHEMAS["trial"])
    assert all(map(valid.is_valid, trials)) and not valid.is_valid(trials[0] | {"more": 1})


def test_the_published_ledger_is_valid_and_what_the_command_prints() -> None:
    """The command prints ``claims.published``, and the site writes it."""
    rows = [row for row in claims.load_rows() if row["check"] in ("score-range", "dcg-formula")]
    rows = [row | {"status": "verified", "evidence": "", "runs": []} for row in rows]
    made = claims.published([row | {"p_value": None, "blind": None} for row in rows])
    jsonschema.validate(made, SCHEMAS["claims"])
    assert len(made) == 2
