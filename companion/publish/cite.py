"""How a page of the book is cited: as BibTeX, and as CSL-JSON for reference managers."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from companion.publish.source import Source

__all__ = ["Build", "bibtex", "build_of", "csl_json"]


@dataclass(frozen=True)
class Build:
    """What a site was built from.

    Attributes
    ----------
    commit : str
        Twelve digits; empty outside a git checkout.
    changed : bool
        Whether files differ from the commit.
    date : str
        Of the commit, ``2026-11-29`` in UTC; empty outside a git checkout.
    seconds : int
        Of the commit, since 1970; 0 outside a git checkout.
    """

    commit: str = ""
    changed: bool = False
    date: str = ""
    seconds: int = 0

    def __str__(self) -> str:
        if not self.commit:
            return ""
        return f"commit {self.commit}" + (" with local changes" if self.changed else "")


def build_of(root: Path) -> Build:
    """Return the commit of a checkout; an empty one where git knows of none."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ("git", "-C", str(root), *words), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        name = git("describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+")
        seconds = int(git("log", "-1", "--format=%ct"))
    except (OSError, subprocess.CalledProcessError):
        return Build()
    date = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    return Build(name.rstrip("+"), name.endswith("+"), date, seconds)


def _note(source: Source, build: Build, place: str) -> str:
    return ", ".join(filter(None, (f"version {source.cff['version']}", str(build), place)))


def _key(place: str) -> str:
    page, _, part = place.partition("#")
    return "-".join(filter(None, ("pslcompanion", Path(page).stem, part)))


def _tex(text: str) -> str:
    return re.sub(r"[&%$#_]", r"\\\g<0>", text)


def bibtex(source: Source, build: Build, title: str, place: str) -> str:
    """Return the entry of a page, or of a part of it, for BibTeX.

    Parameters
    ----------
    source : Source
    build : Build
    title : str
        Of the page.
    place : str
        Its file in the site, ``notebooks/06-iid.html``, with the part if one is meant:
        ``notebooks/06-iid.html#fig-forest``.
    """
    fields = {
        "author": " and ".join(f"{{{name}}}" for name in source.authors),
        "title": f"{{{_tex(title)}}}",
        "booktitle": f"{{{source.cff['title']}}}",
        "year": build.date[:4] or source.year,
        "note": _tex(_note(source, build, place)),
    }
    lines = [f"  {name:<9} = {{{value}}}," for name, value in fields.items()]
    return "\n".join((f"@incollection{{{_key(place)},", *lines, "}"))


def csl_json(source: Source, build: Build, title: str, place: str) -> str:
    """Return a page's entry as CSL-JSON; parameters as of :func:`bibtex`."""
    day = build.date or source.year
    entry = {
        "id": _key(place),
        "type": "chapter",
        "title": title,
        "container-title": source.cff["title"],
        "author": [{"literal": name} for name in source.authors],
        "issued": {"date-parts": [[int(part) for part in day.split("-")]]},
        "version": source.cff["version"],
        "note": _note(source, build, place),
    }
    return json.dumps([entry], indent=2, ensure_ascii=False)
