"""`psl doctor`: a line for each finding, and an exit status."""

from __future__ import annotations

import json
from pathlib import Path

from command import Psl


def test_a_whole_installation_is_well(psl: Psl, tmp_path: Path) -> None:
    done = psl("doctor", PSL_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stdout
    for what in ("Python", "PyTorch", "kernels (cpu)", "threads", "GPU", "memory", "disk", "data"):
        assert what in done.stdout
    assert not list(tmp_path.iterdir()), "it writes nothing"


def test_what_fails_is_in_the_exit_status(psl: Psl) -> None:
    done = psl("doctor", "--json", PSL_DATA_MIRROR="nowhere", PSL_KERNELS="perhaps")
    assert done.returncode == 2 and not done.stderr
    failed = {x["name"]: x["text"] for x in json.loads(done.stdout) if x["status"] == "fail"}
    assert "nowhere" in failed["data mirror"] and "PSL_KERNELS" in failed["kernels"]
