"""Settings of a sweep in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from companion.sweep import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch) -> Settings:
    monkeypatch.setenv("PSL_KERNELS", "off")  # no compilation in every worker
    return Settings(checkpoints=tmp_path / "states", device="cpu", threads=1)
