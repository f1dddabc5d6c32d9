"""What the doctor finds where something is wrong: each is said, with what to do."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from packaging.specifiers import SpecifierSet

from companion import datasets, doctor
from companion.doctor import Finding, kernels, machine, software
from psl.errors import PSLError

ROOT = Path(__file__).parents[3]


def named(name: str, found: Iterable[Finding]) -> Finding:
    (one,) = (x for x in found if x.name == name)
    return one


def test_versions_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = SpecifierSet(project["requires-python"])
    for minor in range(9, 18):
        version = SimpleNamespace(version_info=(3, minor, 5))
        monkeypatch.setattr(software, "sys", version)
        found = named("Python", doctor.software_findings())
        assert (found.status == "ok") == (f"3.{minor}" in supported) and found.remedy != found.text
    monkeypatch.setattr(software, "sys", sys)
    assert named("packages", doctor.software_findings()).status == "ok"
    assert set(software.OPTIONAL) <= set(project["optional-dependencies"])


@pytest.mark.parametrize(("version", "status"), [("0.0.1", "warn"), (None, "fail")])
def test_a_package_that_is_old_or_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, version: str | None, status: str
) -> None:
    before = software.version

    def of(name: str) -> str:
        if name != "pooch":
            return before(name)
        if version is None:
            raise PackageNotFoundError
        return version

    monkeypatch.setattr(software, "version", of)
    found = named("packages", doctor.software_findings())
    assert found.status == status and "pooch" in found.text and "pip install" in found.remedy


def test_an_extra_that_is_not_there_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "requires", lambda _: ['ray>=2; extra == "ray"', "torch>=2.4"])
    monkeypatch.setattr(software, "_is_installed", lambda name: name == "ray")
    found = named("optional extras", doctor.software_findings())
    assert found.status == "ok" and "installed: ray; not installed: tune" in found.text


def test_more_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert machine.usable_cores() in (1.0, 1.5)  # of one core, and of more
    monkeypatch.setattr(machine.torch, "get_num_threads", lambda: 64)
    found = named("threads", doctor.machine_findings())
    assert found.status == "warn" and "OMP_NUM_THREADS=" in found.remedy
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.usable_cores() >= 1


def test_little_memory_and_disk_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    for free, status in ((5e9, "ok"), (1e9, "warn"), (1e8, "fail")):
        (tmp_path / "memory.max").write_text(str(int(9e9)))
        (tmp_path / "memory.current").write_text(str(int(9e9 - free)))
        if (machine.free_memory() or 0) < free:  # the machine has less than the container allows
            continue
        found = named("memory", doctor.machine_findings())
        assert found.status == status and bool(found.remedy) == (status != "ok")
    for free, status in ((5e9, "ok"), (1e9, "warn"), (1e8, "fail")):
        monkeypatch.setattr(
            machine.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free)
        )
        assert named("disk (here)", doctor.machine_findings()).status == status


def test_a_folder_that_cannot_be_written_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").write_text("a file")
    found = named("folders", doctor.machine_findings())
    assert found.status == "fail" and "--results" in found.remedy


def test_a_driver_without_cuda_in_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.torch.version, "cuda", None)
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    assert named("GPU", doctor.machine_findings()).status == "ok"
    monkeypatch.setattr(machine.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    found = named("GPU", doctor.machine_findings())
    assert found.status == "warn" and "CUDA" in found.remedy


def test_an_archive_is_held_against_its_checksum(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = datasets.get_source("movielens-100k")
    path = tmp_path / source.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK damaged")
    monkeypatch.setenv("PSL_DATA_MIRROR", str(tmp_path))
    found = named("data", doctor.data_findings())
    assert found.status == "fail" and "movielens-100k" in found.text and "damaged" in found.text
    monkeypatch.setenv("PSL_DATA_MIRROR", str(tmp_path / "gone"))
    assert named("data mirror", doctor.data_findings()).status == "fail"

    monkeypatch.delenv("PSL_DATA_MIRROR")
    monkeypatch.setenv("PSL_CACHE", str(tmp_path / "cache"))
    assert named("data", doctor.data_findings()).text.startswith("0 of")
    (tmp_path / "cache").mkdir()
    kept = tmp_path / "cache" / "movielens-100k-iid.zip"
    kept.write_bytes(b"<html>")
    found = named("data", doctor.data_findings())
    assert found.status == "warn" and "psl data fetch movielens-100k" in found.remedy
    assert kept.exists(), "the doctor deletes nothing"
    monkeypatch.setenv("PSL_DATA_MIRROR", "https://mirror.invalid")
    assert named("data mirror", doctor.data_findings()).status == "ok"


def test_the_kernels_compute_what_the_plain_path_does(monkeypatch: pytest.MonkeyPatch) -> None:
    found = kernels.self_test(torch.device("cpu"))
    assert len(found) == 7 and all(x.error <= kernels.TOLERANCE for x in found)
    (one,) = (x for x in doctor.kernel_findings() if x.name == "kernels (cpu)")
    assert one.status == "ok"
    monkeypatch.setenv("PSL_KERNELS", "off")
    assert named("kernels (cpu)", doctor.kernel_findings()).status == "ok"
    monkeypatch.delenv("PSL_KERNELS")
    monkeypatch.setattr(kernels, "serving", lambda _: "torch")
    found_without = named("kernels (cpu)", doctor.kernel_findings())
    assert found_without.status == "warn" and "psl[fast]" in found_without.remedy


@pytest.mark.parametrize("wrong", [1.001, float("nan")])
def test_a_wrong_kernel_is_noticed(monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    right = kernels.sampled_loss

    def off(users: torch.Tensor, *given: object) -> torch.Tensor:
        value = right(users, *given)  # type: ignore[arg-type]
        return value * wrong if users.dtype == torch.float32 else value

    monkeypatch.setattr(kernels, "sampled_loss", off)
    found = named("kernels (cpu)", doctor.kernel_findings())
    assert found.status == "fail" and "PSL_KERNELS=off" in found.remedy


def test_a_sampler_that_draws_the_users_own_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(kernels.UniformNegatives):
        def sample(self, users: torch.Tensor, count: int, key: int) -> torch.Tensor:
            return torch.arange(count).expand(len(users), count) % kernels.ITEMS

    monkeypatch.setattr(kernels, "UniformNegatives", Careless)
    found = named("kernels (cpu)", doctor.kernel_findings())
    assert found.status == "fail" and "negative sampling" in found.text


def test_a_look_that_breaks_is_a_finding() -> None:
    def broken() -> list[Finding]:
        raise RuntimeError("no such\nluck")

    def refused() -> list[Finding]:
        raise PSLError("unknown value of PSL_KERNELS")

    (found,) = doctor.examine("kernels", broken)
    assert (found.status, found.text) == ("fail", "RuntimeError: no such luck")
    (found,) = doctor.examine("kernels", refused)
    assert (found.status, found.text) == ("fail", "unknown value of PSL_KERNELS")
