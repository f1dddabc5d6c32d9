"""CITATION.cff is valid, and says the same as the package."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
# The schema of the Citation File Format 1.2.0 (CC BY 4.0), by its authors, unchanged.
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "cff-1.2.0.json").read_text("utf-8"))
CITATION = yaml.load((ROOT / "CITATION.cff").read_text("utf-8"), Loader=yaml.BaseLoader)
PAPER = CITATION["references"][0]


def typed(value):
    """The YAML with its numbers as numbers, where the schema wants them; dates stay text."""
    if isinstance(value, dict):
        return {key: int(v) if key == "year" else typed(v) for key, v in value.items()}
    return [typed(v) for v in value] if isinstance(value, list) else value


def test_valid() -> None:
    validator = jsonschema.validators.validator_for(SCHEMA)
    validator.check_schema(SCHEMA)
    validator(SCHEMA).validate(typed(CITATION))


def test_a_mistake_is_noticed() -> None:
    broken = {**typed(CITATION), "licence": "Apache-2.0"}
    assert list(jsonschema.validators.validator_for(SCHEMA)(SCHEMA).iter_errors(broken))


def test_same_version_and_licence_as_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert CITATION["version"] == project["version"]
    assert CITATION["license"] == project["license"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_paper_is_the_same_in_the_bibliography() -> None:
    entries = (ROOT / "book" / "references.bib").read_text("utf-8").split("\n@")
    (entry,) = [entry for entry in entries if "{yang2024psl," in entry]
    plain = entry.replace("{", "").replace("}", "")
    assert PAPER["title"] in plain
    assert (
        " and ".join(f"{a['family-names']}, {a['given-names']}" for a in PAPER["authors"]) in plain
    )
    assert PAPER["url"] in plain and f"= {PAPER['year']}," in plain


def test_the_first_page_cites_the_companion_as_the_file_does() -> None:
    page = (ROOT / "book" / "index.md").read_text("utf-8")
    entry = page.partition("@software{pslcompanion,")[2].partition("\n}\n")[0]
    plain = " ".join(entry.replace("{", "").replace("}", "").split())
    assert CITATION["title"] in plain and f"version = {CITATION['version']}," in plain
    assert f"author = {CITATION['authors'][0]['name']}," in plain
    copyright = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["copyright"]
    assert f"year = {copyright}," in plain
    assert "doi" not in plain and "url" not in plain  # it has none yet
