"""The chapter of experiments with tiny parameters prints, where compared, what is stored."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.first

FOLDER = Path(__file__).parents[2] / "notebooks"
CHAPTER = FOLDER / "04-training.ipynb"
TINY = {"dataset": "synthetic", "epochs": 2}


def compared(notebook) -> dict[str, list]:
    """Text outputs of the cells that are tagged for comparison, by cell."""
    found = {}
    for cell in notebook.cells:
        if "nbval-check-output" in cell.metadata.get("tags", []):
            found[cell.id] = [
                output.text if output.output_type == "stream" else output.data.get("text/plain")
                for output in cell.outputs
            ]
    return found


def test_tiny_parameters_give_the_stored_outputs() -> None:
    if not CHAPTER.exists():
        pytest.skip(f"{CHAPTER.name} is not there")
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    stored = compared(nbformat.read(CHAPTER, 4))
    assert stored, "no cell of the chapter is tagged nbval-check-output"
    assert compared(script.execute(CHAPTER, TINY)) == stored
