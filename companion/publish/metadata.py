"""The files that archives, registries and checkers read, written from one source.

``codemeta.json`` (CodeMeta 3.0), ``.zenodo.json`` (Zenodo's deposit metadata) and ``codecheck.yml``
(CODECHECK 2.0) say what ``CITATION.cff`` and ``pyproject.toml`` do.  A DOI, an address of this
companion and a checker's name are left out until there is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from companion.experiments import EXPERIMENTS
from companion.publish.crate import ro_crate
from companion.publish.source import Source, described, read_source
from psl.files import replace_file

__all__ = ["METADATA", "codecheck", "codemeta", "outdated", "write_metadata", "zenodo"]

CODECHECK_NOTE = """\
# Made by `psl publish metadata`. A checker adds codechecker, summary, report, certificate,
# check_time and the ORCIDs of the authors; nothing of these is known here.
"""


def codemeta(source: Source) -> dict[str, Any]:
    """Return the description of the software in CodeMeta's terms."""
    cff, project, paper = source.cff, source.project, source.paper
    return {
        "@context": "https://w3id.org/codemeta/3.0",
        "@type": "SoftwareSourceCode",
        "name": cff["title"],
        "description": cff["abstract"],
        "version": cff["version"],
        "license": f"https://spdx.org/licenses/{cff['license']}",
        "author": [{"@type": "Organization", "name": name} for name in source.authors],
        "keywords": cff["keywords"],
        "copyrightYear": int(source.year),
        "programmingLanguage": "Python",
        "runtimePlatform": f"Python {project['requires-python']}",
        "softwareRequirements": project["dependencies"],
        "softwareHelp": {"@type": "CreativeWork", "name": "README.md"},
        "referencePublication": {
            "@type": "ScholarlyArticle",
            "@id": paper["url"],
            "name": paper["title"],
            "author": [
                {"@type": "Person", "familyName": a["family-names"], "givenName": a["given-names"]}
                for a in paper["authors"]
            ],
            "datePublished": paper["year"],
            "isPartOf": {"@type": "PublicationVolume", "name": paper["collection-title"]},
        },
    }


def zenodo(source: Source) -> dict[str, Any]:
    """Return the metadata of a deposit at Zenodo."""
    cff, paper = source.cff, source.paper
    return {
        "upload_type": "software",
        "title": cff["title"],
        "description": cff["abstract"],
        "version": cff["version"],
        "creators": [{"name": name} for name in source.authors],
        "access_right": "open",
        "license": cff["license"],
        "keywords": cff["keywords"],
        "language": "eng",
        "related_identifiers": [
            {
                "identifier": paper["identifiers"][0]["value"],
                "relation": "isSupplementTo",
                "resource_type": "publication-conferencepaper",
                "scheme": "arxiv",
            }
        ],
    }


def codecheck(source: Source) -> dict[str, Any]:
    """Return the manifest of what a CODECHECK would make again: the run records."""
    paper = source.paper
    return {
        "version": "https://codecheck.org.uk/spec/config/2.0/",
        "paper": {
            "title": paper["title"],
            "authors": [
                {"name": f"{a['given-names']} {a['family-names']}"} for a in paper["authors"]
            ],
            "reference": paper["url"],
        },
        "manifest": [
            {
                "file": f"results/{name}.jsonl",
                "comment": described(name) + (f"; psl run {name}" * (name in EXPERIMENTS)),
            }
            for name in source.records()
        ],
    }


def _json(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _codecheck_yml(source: Source) -> str:
    body = yaml.safe_dump(codecheck(source), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{CODECHECK_NOTE}{body}"


# Each file of metadata at the root of a checkout, and how its text comes about.
METADATA: dict[str, Callable[[Source], str]] = {
    "codemeta.json": lambda source: _json(codemeta(source)),
    ".zenodo.json": lambda source: _json(zenodo(source)),
    "ro-crate-metadata.json": lambda source: _json(ro_crate(source)),
    "codecheck.yml": _codecheck_yml,
}


def outdated(root: Path) -> list[str]:
    """Return the files of metadata that are missing or not what the source gives."""
    source = read_source(root)

    def text(path: Path) -> str:
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    return [name for name, make in METADATA.items() if text(root / name) != make(source)]


def write_metadata(root: Path) -> list[str]:
    """Write each file of metadata that is not what the source gives; return their names."""
    source, names = read_source(root), outdated(root)
    for name in names:
        replace_file(root / name, METADATA[name](source).encode())
    return names
