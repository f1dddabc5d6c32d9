"""The worked example of CONTRIBUTING.md, done to a copy of the package."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def floors() -> list[str]:
    """Return the files and folders of the table of floors, in its order."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    entries = re.findall(r"^\| *\d? *\| (.+?) \|", text, flags=re.MULTILINE)
    return [name for entry in entries for name in re.findall(r"`(psl/[\w/]+(?:\.py|/))`", entry)]


def place(file: str, order: list[str]) -> int:
    """Return where a file stands in the table: under its own name, or its folder's."""
    (found,) = (k for k, name in enumerate(order) if f"{file}/".startswith(name.rstrip("/") + "/"))
    return found


def imported(file: Path) -> Iterator[str]:
    """Return the files of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "psl":
                # What is imported is a module, or stands in one.
                yield next(
                    path.relative_to(ROOT).as_posix()
                    for length in range(len(parts), 0, -1)
                    for base in [ROOT.joinpath(*parts[:length])]
                    for path in (base.with_suffix(".py"), base / "__init__.py")
                    if path.is_file()
                )


def test_a_file_imports_only_from_above_it() -> None:
    order = floors()
    assert order[0] == "psl/errors.py" and order[-2:] == ["psl/cli/", "psl/paper/"]
    wrong, seen = [], set()
    for path in sorted((ROOT / "psl").rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        if file in ("psl/__init__.py", "psl/__main__.py"):  # the doors: they name what is inside
            continue
        seen.add(order[place(file, order)])
        wrong += [
            f"{file} imports {other}"
            for other in imported(path)
            if other == "psl/__init__.py" or place(other, order) > place(file, order)
        ]
    assert not wrong
    assert seen == set(order), "no line of the table without a file"


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


def python(house: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house), "PSL_KERNELS": "off"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("backbone", ["mf", "lightgcn", "xsimgcl"])
def test_the_new_loss_trains(house: Path, backbone: str) -> None:
    out = python(
        house,
        "import sys; from psl.cli import main\n"
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
