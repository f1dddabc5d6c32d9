"""The worked examples of CONTRIBUTING.md, done to a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.first

ROOT = Path(__file__).parents[2]


def insert(path: Path, before: str, text: str, *, after: bool = False) -> None:
    """Put text before, or after, the one place in a file."""
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1, f"{path}: {before}"
    path.write_text(content.replace(before, before + text if after else text + before))


def blocks(example: str, count: int) -> list[str]:
    """Return the code blocks of an example of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = text[text.index(f"### Example: {example}") :]
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[:count]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package, and the oracles of the tables, and do the three examples to them."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "psl", folder / "psl", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("test_activations.py", "test_backbones.py"):
        shutil.copy(ROOT / "tests" / "oracle" / name, folder)
    losses, activations = folder / "psl/losses/__init__.py", folder / "psl/activations.py"
    backbones = folder / "psl/models/backbones.py"
    table_of_losses = "LOSSES: dict[str, LossSpec] = {\n"

    code, line = blocks("a loss", 2)
    new = folder / "psl" / "losses" / "hinge.py"
    assert not new.exists()
    new.write_text(code, encoding="utf-8")
    insert(losses, "from psl.losses.lambdaloss import", "from psl.losses.hinge import HingeLoss\n")
    insert(losses, table_of_losses, line, after=True)

    entry, of_losses, definition = blocks("an activation", 3)
    insert(activations, "    for a in (\n", f"{entry.rstrip()},\n", after=True)
    insert(losses, table_of_losses, of_losses, after=True)
    insert(folder / "test_activations.py", "DEFINITION = {\n", definition, after=True)

    code, line, layers = blocks("a backbone", 3)
    new = folder / "psl" / "models" / "sgc.py"
    assert not new.exists()
    new.write_text(code, encoding="utf-8")
    insert(backbones, "\n__all__ = [", "from psl.models.sgc import SGC\n")
    insert(backbones, "BACKBONES: dict[str, BackboneSpec] = {\n", line, after=True)
    insert(folder / "test_backbones.py", "LAYERS = {\n", layers, after=True)
    return folder


def python(house: Path, code: str, *more: str) -> str:
    path = os.pathsep.join((str(house), str(ROOT / "tests" / "helpers")))
    done = subprocess.run(
        [sys.executable, *(("-c", code) if code else more)],
        cwd=house,
        env={**os.environ, "PYTHONPATH": path, "PSL_KERNELS": "off"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_tests_over_the_tables_take_them_up(house: Path) -> None:
    """All in one process: to start one takes as long as the tests."""
    files = ("unit/losses/test_input.py", "unit/ops/test_input.py", "property/test_losses.py")
    new = "hinge or logistic or sgc or registry"
    over_the_tables = f"({new} or (property and not everyone and not surrogates)) and not gpu"
    options = ("-m", "pytest", "-rN", "-p", "no:cacheprovider", "-v", "-k", over_the_tables)
    of_tables = ("test_activations.py", "test_backbones.py")
    read = lambda name: (house / name).read_text(encoding="utf-8")  # noqa: E731
    out = python(house, "", *options, *(str(ROOT / "tests" / name) for name in files), *of_tables)
    assert out.count("[hinge") + out.count("-hinge") >= 2, out
    names = "|".join(re.findall(r"^def (test_\w+)", "".join(map(read, of_tables)), re.M))
    oracles = re.findall(rf"::(?:{names})\[.*(logistic|sgc).* PASSED", out)
    assert oracles.count("logistic") >= 2 and oracles.count("sgc") >= 5, out


NEW = [("hinge", "mf"), ("hinge", "lightgcn"), ("hinge", "xsimgcl"), ("psl-logistic", "sgc")]
TRAIN = """
import sys
import torch
from contextlib import suppress
from companion.cli import main
from psl.losses import get_loss
p, n = torch.tensor([0.4, 0.1]), torch.tensor([[0.3, 0.1], [-0.2, 0.25]])
print("value:", float(get_loss("hinge").build(0.1)(p, n)))
for loss, backbone in NEW:
    sys.argv = "psl train --epochs 5 --negatives 50 --dim 16 --lr 0.02 --json".split()
    sys.argv += ["--loss", loss, "--backbone", backbone]
    with suppress(SystemExit):
        main()
"""


@pytest.fixture(scope="module")
def printed(house: Path) -> str:
    """Train everything in one process: to start one takes longer than a run."""
    return python(house, f"NEW = {NEW}\n{TRAIN}")


@pytest.mark.parametrize("new", NEW, ids="-".join)
def test_what_is_new_trains(printed: str, new: tuple[str, str]) -> None:
    records = map(json.loads, re.findall(r"^\{$.*?^\}$", printed, re.DOTALL | re.M))
    record: dict[str, Any] = dict(zip(NEW, records, strict=True))[new]
    assert (record["config"]["loss"], record["config"]["backbone"]) == new
    curve = [p["loss"] for p in record["validation_curve"]]
    assert record["metrics"]["ndcg@20"] > 0.03 and curve[-1] < 60


def test_the_new_loss_is_what_it_says(printed: str) -> None:
    (out,) = re.findall(r"^value: (\S+)$", printed, re.M)
    # (mean(.2 - .1, 0) + mean(0, .2 + .15)) / 2
    assert float(out) == pytest.approx((0.05 + 0.175) / 2, rel=1e-6)
