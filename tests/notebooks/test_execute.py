"""Storing a chapter twice gives the same bytes, and its parameters stay its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

SCRIPT = Path(__file__).parents[2] / "notebooks" / "execute.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("execute", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["execute"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    cells = [
        new_code_cell("epochs = 2", metadata={"tags": ["parameters"]}, id="parameters"),
        new_code_cell("for i in range(epochs): print(i, flush=True)", id="work"),
    ]
    path = tmp_path / "01-chapter.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_repeat_gives_the_same_bytes(script: ModuleType, chapter: Path) -> None:
    assert script.main([str(chapter)]) == 0
    first = chapter.read_bytes()
    assert script.main([str(chapter)]) == 0
    assert chapter.read_bytes() == first
    assert nbformat.read(chapter, 4).cells[1].outputs[0].text == "0\n1\n"
    assert [path.name for path in chapter.parent.iterdir()] == [chapter.name]


def test_parameters_do_not_reach_the_stored_chapter(
    script: ModuleType, chapter: Path, tmp_path: Path
) -> None:
    before = chapter.read_bytes()
    with pytest.raises(SystemExit):
        script.main([str(chapter), "-p", "epochs", "3"])
    assert script.main([str(chapter), "-p", "epochs", "3", "--output", str(tmp_path / "out")]) == 0
    assert chapter.read_bytes() == before
    executed = nbformat.read(tmp_path / "out" / chapter.name, 4)
    assert executed.cells[-1].outputs[0].text == "0\n1\n2\n"


def test_a_failing_chapter_is_not_stored(script: ModuleType, chapter: Path) -> None:
    notebook = nbformat.read(chapter, 4)
    notebook.cells.append(new_code_cell("raise RuntimeError('no')", id="fails"))
    nbformat.write(notebook, chapter)
    before = chapter.read_bytes()
    with pytest.raises(Exception, match="no"):
        script.main([str(chapter)])
    assert chapter.read_bytes() == before
