"""Metadata for archives and checkers: from one source, up to date, and with nothing made up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from companion import publish
from psl.errors import PSLError

ROOT = Path(__file__).parents[3]
FILES = {name: (ROOT / name).read_text("utf-8") for name in publish.METADATA}
CODEMETA, ZENODO, CRATE = (
    json.loads(FILES[n]) for n in ("codemeta.json", ".zenodo.json", "ro-crate-metadata.json")
)
CODECHECK = yaml.safe_load(FILES["codecheck.yml"])
SOURCE = publish.read_source(ROOT)

TEXT = {"type": "string", "minLength": 1}
# The terms of https://w3id.org/codemeta/3.0 that are used here, with the types it gives them.
CODEMETA_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["@context", "@type", "name", "author", "license", "version"],
    "properties": {
        "@context": {"const": "https://w3id.org/codemeta/3.0"},
        "@type": {"const": "SoftwareSourceCode"},
        **dict.fromkeys(("name", "description", "version", "programmingLanguage"), TEXT),
        **dict.fromkeys(("runtimePlatform",), TEXT),
        "license": {"type": "string", "pattern": "^https://spdx.org/licenses/"},
        "author": {"type": "array", "items": {"required": ["@type", "name"]}, "minItems": 1},
        "keywords": {"type": "array", "items": TEXT},
        "copyrightYear": {"type": "integer"},
        "softwareRequirements": {"type": "array", "items": TEXT},
        "softwareHelp": {"type": "object"},
        "referencePublication": {"type": "object", "required": ["@type", "name"]},
    },
}
# What Zenodo's documentation of its deposit API asks for, as far as it is used here.
ZENODO_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["upload_type", "title", "creators", "description", "access_right", "license"],
    "properties": {
        "upload_type": {"const": "software"},
        "access_right": {"enum": ["open", "embargoed", "restricted", "closed"]},
        "creators": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["name"], "properties": {"name": TEXT}},
        },
        "keywords": {"type": "array", "items": TEXT},
        "language": {"type": "string", "pattern": "^[a-z]{3}$"},
        "related_identifiers": {
            "type": "array",
            "items": {"type": "object", "required": ["identifier", "relation"]},
        },
        **dict.fromkeys(("title", "description", "version", "license"), TEXT),
    },
}


def test_every_file_is_what_the_source_gives() -> None:
    assert publish.outdated(ROOT) == [], "psl publish metadata"


def test_a_change_of_the_source_is_noticed_and_written(tmp_path: Path) -> None:
    for name in ("CITATION.cff", "pyproject.toml", "_config.yml", *publish.METADATA):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in ("results", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert publish.outdated(tmp_path) == []
    cff = tmp_path / "CITATION.cff"
    cff.write_text(cff.read_text("utf-8").replace("version: 0.1.0", "version: 0.2.0"), "utf-8")
    stale = publish.outdated(tmp_path)
    assert stale == ["codemeta.json", ".zenodo.json", "ro-crate-metadata.json"]
    assert publish.write_metadata(tmp_path) == stale and publish.outdated(tmp_path) == []
    assert json.loads((tmp_path / "codemeta.json").read_text("utf-8"))["version"] == "0.2.0"


def test_a_folder_that_is_no_clone_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(PSLError, match="in a clone"):
        publish.outdated(tmp_path)


@pytest.mark.parametrize(("made", "schema"), [(CODEMETA, CODEMETA_SCHEMA), (ZENODO, ZENODO_SCHEMA)])
def test_valid(made: dict, schema: dict) -> None:
    jsonschema.validate(made, schema)
    for key in schema["required"]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({k: v for k, v in made.items() if k != key}, schema)


def test_no_address_and_no_identifier_is_made_up() -> None:
    """What stands in the files as an address is the paper's, a licence's or a vocabulary's."""
    paper = SOURCE.paper["url"]
    known = (paper, "https://spdx.org/", "https://w3id.org/", "https://www.python.org/")
    known += ("https://codecheck.org.uk/spec/",)
    for name, text in FILES.items():
        words = text.replace('"', " ").replace("'", " ").split()
        strange = [w for w in words if "://" in w and not w.startswith(known)]
        assert not strange, name
        assert "doi" not in text.lower() and "orcid.org" not in text.lower(), name


def test_the_codecheck_manifest_lists_the_records_that_are_there() -> None:
    """The rules of CODECHECK 2.0 for a bundle that nobody has checked yet."""
    assert FILES["codecheck.yml"].startswith("---\n")
    assert {"title", "authors", "reference"} <= CODECHECK["paper"].keys()
    assert all(author["name"] for author in CODECHECK["paper"]["authors"])
    files = [item["file"] for item in CODECHECK["manifest"]]
    assert files == sorted(f"results/{p.name}" for p in (ROOT / "results").glob("*.jsonl"))
    assert all(item["comment"] for item in CODECHECK["manifest"])
    assert not {"codechecker", "report", "certificate", "check_time"} & CODECHECK.keys()


def test_the_crate_is_flat_and_whole() -> None:
    """`tests/packaging/check.sh` has it judged by a validator of others, too."""
    graph = {entity["@id"]: entity for entity in CRATE["@graph"]}
    assert len(graph) == len(CRATE["@graph"])

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            return [value["@id"]]
        return [r for v in value for r in references(v)] if isinstance(value, list) else []

    known = (*graph, "https://w3id.org/ro/crate/1.1", "https://www.python.org/")
    for entity in graph.values():
        for key, value in entity.items():
            assert set(references(value)) <= set(known), (entity["@id"], key)
    files = [key for key, entity in graph.items() if entity["@type"] == "File"]
    assert all((ROOT / name).is_file() for name in files)
    folders = [key for key, entity in graph.items() if entity["@type"] == "Dataset"]
    assert sorted(folders) == ["./", "results/dynamics/"] and (ROOT / folders[1]).is_dir()
    assert {part["@id"] for part in graph["./"]["hasPart"]} == {*files, *folders} - {"./"}
    actions = [entity for entity in graph.values() if entity["@type"] == "CreateAction"]
    made = sorted(action["result"]["@id"] for action in actions)
    recorded = [item["file"] for item in CODECHECK["manifest"]]
    assert made == sorted([*recorded, "results/dynamics/"])
    assert all(action["instrument"] == {"@id": "#psl"} for action in actions)
