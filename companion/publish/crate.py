"""The checkout as a research object: RO-Crate 1.1 with the profile Process Run Crate 0.5.

Each file of run records is the result of an action whose instrument is this software and whose
objects are the list of data sources and the pinned versions; so is the folder of measured runs.
Sizes, checksums and times are not in it: the records' own lines have them, and a new record would
make the description old.
"""

from __future__ import annotations

from typing import Any

from companion.dynamics import FOLDER
from companion.publish.source import Source, described

__all__ = ["ro_crate"]

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
# Beside notebooks and records: path, what it is, media type.
FILES = (
    ("CITATION.cff", "How to cite", "application/yaml"),
    ("LICENSE", "Licence of the code", "text/plain"),
    ("requirements.lock", "Exact versions of every package", "text/plain"),
    ("pyproject.toml", "The package: version ranges and extras", "application/toml"),
    ("companion/datasets/sources.csv", "Public data: checksums and counts", "text/csv"),
    (
        "companion/paper/claims.yml",
        "Statements of the paper, with their checks",
        "application/yaml",
    ),
    ("results/statuses.csv", "Status of every claim", "text/csv"),
    ("results/tuning/benchmark.jsonl", "Trials of a search for each loss", "application/jsonl"),
    ("results/tuning/floors.jsonl", "Baselines beside the losses", "application/jsonl"),
)
OF_EACH_RUN = "configuration, seed, device, versions and time of each run"
INPUTS = ("companion/datasets/sources.csv", "requirements.lock")


def _to(*ids: str) -> dict[str, str] | list[dict[str, str]]:
    """Return references; one alone stands without a list, as RO-Crate wants it."""
    found = [{"@id": one} for one in ids]
    return found[0] if len(found) == 1 else found


def ro_crate(source: Source) -> dict[str, Any]:
    """Return the crate's metadata, a flat JSON-LD graph."""
    cff, paper = source.cff, source.paper
    code, text = (f"https://spdx.org/licenses/{x}" for x in (cff["license"], source.text_license))
    who = {
        f"#author-{k}": {"@type": "Organization", "name": name}
        for k, name in enumerate(source.authors, start=1)
    }
    files = {path: _file(name, kind) for path, name, kind in FILES}
    files |= {
        path: _file(f"Chapter: {title}", "application/x-ipynb+json") | {"license": {"@id": text}}
        for path, title in source.chapters().items()
    }
    actions = {}
    for name in source.records():
        path, what = f"results/{name}.jsonl", described(name)
        files[path] = _file(f"Run records. {what}", "application/jsonl")
        actions[f"#run-{name}"] = _action(
            f"Trained and recorded: {name}",
            f"{what}; {OF_EACH_RUN} stand in its line of {path}",
            path,
            *who,
        )
    if source.has_measured_runs():
        path, what = f"results/{FOLDER}/", "Runs measured while they trained, one file each"
        files[path] = {"@type": "Dataset", "name": "Training dynamics", "description": what}
        actions[f"#run-{FOLDER}"] = _action(
            "Trained and measured on the way",
            f"runs of `psl dynamics`; {OF_EACH_RUN} stand in its file in {path}",
            path,
            *who,
        )
    entities: dict[str, dict[str, Any]] = {
        "ro-crate-metadata.json": {
            "@type": "CreativeWork",
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            "about": {"@id": "./"},
        },
        "./": {
            "@type": "Dataset",
            "name": cff["title"],
            "description": cff["abstract"],
            "datePublished": source.year,
            "version": cff["version"],
            "license": {"@id": code},
            "author": _to(*who),
            "keywords": ", ".join(cff["keywords"]),
            "conformsTo": {"@id": PROFILE},
            "citation": {"@id": paper["url"]},
            "hasPart": _to(*files),
            "mentions": _to(*actions),
        },
        PROFILE: {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        code: _licence("Code", cff["license"]),
        text: _licence("Text and figures", source.text_license),
        paper["url"]: {
            "@type": "ScholarlyArticle",
            "name": paper["title"],
            "author": [f"{a['given-names']} {a['family-names']}" for a in paper["authors"]],
            "datePublished": paper["year"],
        },
        "#psl": {
            "@type": "SoftwareSourceCode",
            "name": source.project["name"],
            "description": source.project["description"],
            "version": cff["version"],
            "license": {"@id": code},
            "programmingLanguage": {"@id": "#python"},
        },
        "#python": {
            "@type": "ComputerLanguage",
            "name": "Python",
            "version": source.project["requires-python"],
            "url": {"@id": "https://www.python.org/"},
        },
        **who,
        **files,
        **actions,
    }
    graph = [{"@id": key, **entity} for key, entity in entities.items()]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _action(name: str, description: str, result: str, *who: str) -> dict[str, Any]:
    return {
        "@type": "CreateAction",
        "name": name,
        "description": description,
        "instrument": {"@id": "#psl"},
        "object": _to(*INPUTS),
        "result": _to(result),
        "agent": _to(*who),
    }


def _file(name: str, kind: str) -> dict[str, Any]:
    return {"@type": "File", "name": name, "encodingFormat": kind}


def _licence(what: str, name: str) -> dict[str, Any]:
    return {"@type": "CreativeWork", "name": name, "description": f"{what}: {name}"}
