"""Dockerfile and Binder files: what they name is there, and of the versions that are supported."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SUPPORTED = SpecifierSet(PROJECT["requires-python"])
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
BINDER = ROOT / ".binder"


def test_the_image_has_a_supported_python_and_what_make_asks_for() -> None:
    (python,) = re.findall(r"^FROM python:([\d.]+)-slim$", DOCKERFILE, re.MULTILINE)
    assert python in SUPPORTED
    installed = set(re.findall(r"--no-install-recommends (.*?) &&", DOCKERFILE)[0].split())
    assert {"make", "git", "chromium"} <= installed
    makefile = (ROOT / "Makefile").read_text("utf-8")
    used = re.findall(r"\bmake ([a-z-]+)", DOCKERFILE)
    assert used and all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in used)


def test_the_image_gets_the_checkout_and_nothing_built() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {".venv", "**/_build", "dist"} <= set(ignored)
    assert ".git" not in ignored, "the footer names the commit"
    kept = subprocess.run(("git", "ls-files"), cwd=ROOT, capture_output=True, text=True).stdout
    assert not [f for f in kept.split() if f.partition("/")[0] in ignored]
    (place,) = re.findall(r"^WORKDIR (.+)$", DOCKERFILE, re.MULTILINE)
    assert f"safe.directory {place}" in DOCKERFILE and f"{place}/.venv/bin" in DOCKERFILE


def test_binder_takes_the_lock_and_a_supported_python() -> None:
    version = (BINDER / "runtime.txt").read_text("utf-8").strip().removeprefix("python-")
    assert version in SUPPORTED
    (line,) = (BINDER / "requirements.txt").read_text("utf-8").split("\n")[:-1]
    assert (BINDER / line.removeprefix("-r ")).resolve() == ROOT / "requirements.lock"
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    subprocess.run(("bash", "-n", script), check=True)
