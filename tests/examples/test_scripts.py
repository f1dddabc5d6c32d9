"""The scripts of ``examples/`` find what they say: each trains in a minute and prints a metric."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.first

ROOT = Path(__file__).parents[2]
# The metric that each prints; below what it is before, and above what after.
FINDS = {
    "plain_loop": ("NDCG@20", 0.1, 0.6),
    "two_towers": ("NDCG@20", 0.1, 0.35),
    "popular_negatives": ("NDCG@20", 0.1, 0.25),
    "pyg_lightgcn": ("NDCG@20", 0.1, 0.6),
    "lightning_module": ("NDCG@20", 0.1, 0.6),
    "contrastive": ("accuracy@1", 0.1, 0.8),
    "neighbours": ("recall@20", 0.995, 0.995),
    "ddp": ("loss", None, None),
}
LIBRARIES = {
    "pyg_lightgcn": "torch_geometric",
    "lightning_module": "lightning",
    "neighbours": "faiss",
}


# In a process of its own: it starts others, which import its file.
ALONE = ("ddp",)
# A start takes longer than most of them.
TOGETHER = """
import runpy, sys, traceback
for script in sys.argv[1:]:
    print(f"== {script}", flush=True)
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        traceback.print_exc(file=sys.stdout)
"""


def output(*words: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What each script says that is executed with others in one process."""
    there = [n for n in FINDS if n not in ALONE and find_spec(LIBRARIES.get(n, "torch"))]
    scripts = [str(ROOT / "examples" / f"{name}.py") for name in there]
    parts = re.split(r"^== .*\n", output("-c", TOGETHER, *scripts), flags=re.MULTILINE)
    return dict(zip(there, parts[1:], strict=True))


def test_every_script_is_tested_and_short_and_in_the_book() -> None:
    scripts = {path.stem: path for path in (ROOT / "examples").glob("*.py")}
    assert scripts.keys() == FINDS.keys()
    page = (ROOT / "book" / "recipes.md").read_text(encoding="utf-8")
    for name, path in scripts.items():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 90, name
        assert f"```{{literalinclude}} ../examples/{name}.py" in page
        assert "companion" not in text, "a reader of psl alone runs it"
    assert not re.findall(r"\b0\.\d+", page), "a number that was typed"


@pytest.mark.parametrize("name", FINDS)
def test_what_a_script_finds(name: str, printed: dict[str, str]) -> None:
    pytest.importorskip(LIBRARIES.get(name, "torch"))
    text = output(str(ROOT / "examples" / f"{name}.py")) if name in ALONE else printed[name]
    assert "Traceback" not in text, text
    metric, low, high = FINDS[name]
    found = re.search(rf"{metric}: (\S+) before, (\S+) after", text)
    assert found, text
    before, after = map(float, found.groups())
    if name == "ddp":
        gap = re.search(r"whole batch: (\S+)", text)
        assert gap and float(gap[1]) < 1e-5 and after < before / 2
    else:
        assert before < low and after > high
    if name in ("two_towers", "popular_negatives"):
        plain = re.search(r"without the (?:logQ )?correction: (\S+)", text)
        assert plain and after > float(plain[1])
