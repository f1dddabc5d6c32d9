"""One list of pins: environment.yml, pyproject.toml and requirements.lock agree."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13")


def lock(python: str) -> dict[str, str]:
    """Versions that the lock gives to Linux with this Python."""
    environment = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    pins: dict[str, str] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{line}: not an exact version"
        assert name not in pins, f"{name} is pinned twice for Python {python}"
        pins[name] = specifier.version
    return pins


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for in the installed extras, without references to itself."""
    project = PYPROJECT["project"]
    lines = list(project["dependencies"])
    extras = ["fast", "train", "companion", "cuda", "ray", "tensorboard", "tune", "baselines"]
    for extra in (*extras, "book", "test"):
        lines += project["optional-dependencies"][extra]
    return [r for r in map(Requirement, lines) if canonicalize_name(r.name) != "psl"]


def conda_entry(name: str) -> str:
    return next(d for d in CONDA["dependencies"] if isinstance(d, str) and d.startswith(name))


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_every_range(python: str) -> None:
    pins = lock(python)
    for requirement in wanted():
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in the lock for Python {python}"
        assert requirement.specifier.contains(version), f"{requirement} does not allow {version}"


def test_the_lock_covers_the_supported_pythons_and_no_others() -> None:
    supported = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert [f"3.{minor}" for minor in range(9, 20) if f"3.{minor}" in supported] == list(PYTHONS)


def test_conda_gives_the_same_python_and_the_same_lock() -> None:
    python = conda_entry("python")
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(
        PYPROJECT["project"]["requires-python"]
    )
    (pip,) = [d["pip"] for d in CONDA["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.lock", "-e ."]
    assert {d.split(">")[0] for d in CONDA["dependencies"] if isinstance(d, str)} == {
        "python",
        "pip",
    }


def test_the_bar_of_a_download_comes_with_what_draws_it() -> None:
    (pooch,) = [r for r in wanted() if r.name == "pooch"]
    assert pooch.extras == {"progress"} and "tqdm" in lock("3.12")


def test_the_lock_leaves_the_choice_of_cuda_to_torch() -> None:
    names = lock("3.12")
    assert "torch" in names
    assert not [n for n in names if n.startswith(("nvidia-", "cuda-"))]
