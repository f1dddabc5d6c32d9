"""The worked example of CONTRIBUTING.md, done to a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package and add the loss: one file, its line in the table and its import."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "psl", folder / "psl", ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    example = text[text.index("### Example: a loss") :]
    code, line = re.findall(r"```python\n(.*?)```", example, flags=re.DOTALL)[:2]
    assert line.count("\n") == 1, "one line in the table"
    losses = folder / "psl" / "losses"
    assert not (losses / "ccl.py").exists()
    (losses / "ccl.py").write_text(code, encoding="utf-8")
    table = losses / "__init__.py"
    content = table.read_text(encoding="utf-8")
    head = "LOSSES: dict[str, LossSpec] = {\n"
    assert content.count(head) == 1
    content = content.replace(head, head + line)
    first = "from psl.losses.base import"
    content = content.replace(first, f"from psl.losses.ccl import CCLLoss\n{first}", 1)
    table.write_text(content, encoding="utf-8")
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


def test_the_tests_over_the_table_of_losses_take_it_up(house: Path) -> None:
    files = ("unit/losses/test_input.py", "unit/ops/test_input.py", "property/test_losses.py")
    over_the_table = "ccl or registry or (property and not everyone and not surrogates)"
    options = ("-m", "pytest", "-rN", "-p", "no:cacheprovider", "-v", "-k", over_the_table)
    out = python(house, "", *options, *(str(ROOT / "tests" / name) for name in files))
    assert out.count("[ccl") + out.count("-ccl") >= 2, out


@pytest.mark.parametrize("backbone", ["mf", "lightgcn", "xsimgcl"])
def test_the_new_loss_trains(house: Path, backbone: str) -> None:
    out = python(
        house,
        "import sys; from companion.cli import main\n"
        "sys.argv = 'psl train --loss ccl --epochs 5 --negatives 50 --dim 16 --lr 0.02 --json"
        f" --backbone {backbone}'.split()\n"
        "main()",
    )
    record = json.loads(out)
    assert record["config"]["loss"] == "ccl"
    curve = [p["loss"] for p in record["validation_curve"]]
    assert record["metrics"]["ndcg@20"] > 0.03 and curve[-1] < 60


def test_the_new_loss_is_what_it_says(house: Path) -> None:
    out = python(
        house,
        "import torch; from psl.losses import get_loss\n"
        "p, n = torch.tensor([0.4, 0.1]), torch.tensor([[0.3, 0.1], [-0.2, 0.25]])\n"
        "print(float(get_loss('ccl').build(0.1)(p, n)))",
    )
    # (1 - .8 + 150 * mean(.2, 0) + 1 - .2 + 150 * mean(0, .1)) / 2
    assert float(out) == pytest.approx((0.2 + 15 + 0.8 + 7.5) / 2, rel=1e-6)
