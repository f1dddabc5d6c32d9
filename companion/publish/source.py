"""What this companion is called, read from the files that say so: nothing of it is typed twice."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from companion.dynamics import FOLDER
from companion.experiments import EXPERIMENTS
from psl.errors import PSLError

__all__ = ["Source", "described", "read_source"]


def described(experiment: str) -> str:
    """Return what an experiment's file of records holds, in a line."""
    known = EXPERIMENTS.get(experiment)
    return known[0] if known else f"runs recorded under the experiment {experiment}"


@dataclass(frozen=True)
class Source:
    """A checkout, as its own files describe it.

    Attributes
    ----------
    root : Path
        The checkout.
    cff : dict
        ``CITATION.cff``: title, abstract, authors, licence, version, the paper.
    project : dict
        ``[project]`` of ``pyproject.toml``: what is required, the supported Pythons.
    year : str
        Of the copyright, from ``_config.yml``; there is no release and so no other date.
    text_license : str
        SPDX identifier of the licence of text and figures, from the name of its file.
    """

    root: Path
    cff: dict[str, Any]
    project: dict[str, Any]
    year: str
    text_license: str

    @property
    def paper(self) -> dict[str, Any]:
        """The paper that is recomputed, as ``CITATION.cff`` refers to it."""
        found: dict[str, Any] = self.cff["references"][0]
        return found

    @property
    def authors(self) -> list[str]:
        """Names of this companion's authors."""
        return [author["name"] for author in self.cff["authors"]]

    def chapters(self) -> dict[str, str]:
        """Return the title of each notebook by its path in the checkout."""
        return {
            f"notebooks/{path.name}": _title(path)
            for path in sorted((self.root / "notebooks").glob("[0-9]*.ipynb"))
        }

    def records(self) -> list[str]:
        """Return the experiments that have run records in ``results/``."""
        return sorted(path.stem for path in (self.root / "results").glob("*.jsonl"))

    def has_measured_runs(self) -> bool:
        """Whether ``results/`` has runs that were measured while they trained."""
        return any((self.root / "results" / FOLDER).glob("*.json"))


def _title(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    lines = (line for cell in cells for line in "".join(cell["source"]).splitlines())
    return next(line[2:].strip() for line in lines if line.startswith("# "))


def read_source(root: Path) -> Source:
    """Read what a checkout says of itself.

    Raises
    ------
    PSLError
        If the folder is no checkout of this companion.
    """
    try:
        cff = yaml.load((root / "CITATION.cff").read_text(encoding="utf-8"), yaml.BaseLoader)
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    except OSError as error:
        raise PSLError(
            f"{error.filename}: no such file; run this in a clone of the companion"
        ) from None
    (text,) = (n for n in project["license-files"] if n != "LICENSE")
    license_id = text.removeprefix("LICENSE-").removesuffix(".md")
    return Source(root, cff, project, str(config["copyright"]), license_id)
