"""`psl publish`: what a clone hands to archives."""

from __future__ import annotations

import shutil
from pathlib import Path

from command import assert_refused
from companion import publish

ROOT = Path(__file__).parents[2]


def test_metadata_is_written_once_and_checked(psl, tmp_path: Path) -> None:
    assert_refused(psl("publish", "metadata"), "in a clone")
    for name in ("CITATION.cff", "pyproject.toml", "_config.yml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    check = psl("publish", "metadata", "--check")
    assert check.returncode == 2 and "codecheck.yml: out of date" in check.stdout
    assert not (tmp_path / "codemeta.json").exists()
    assert psl("publish", "metadata").returncode == 0
    assert all((tmp_path / name).is_file() for name in publish.METADATA)
    again = psl("publish", "metadata", "--check")
    assert again.returncode == 0 and "as CITATION.cff" in again.stdout
