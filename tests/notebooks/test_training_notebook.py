"""The chapters that train at length print, where compared, with tiny parameters what is stored."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.first

FOLDER = Path(__file__).parents[2] / "notebooks"
TINY = {"dataset": "synthetic", "epochs": 2}
CHAPTERS = {
    "04-training": TINY,
    "05-fidelity": TINY,
    "06-iid": {"seeds": 2, "epochs": 2},
    "10-variants": {"epochs": 2},
    "12-slatk": TINY,
    "16-own-data": {"epochs": 2},
}


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


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_tiny_parameters_give_the_stored_outputs(chapter: str) -> None:
    path = FOLDER / f"{chapter}.ipynb"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    stored = compared(nbformat.read(path, 4))
    assert stored, "no cell of the chapter is tagged nbval-check-output"
    assert compared(script.execute(path, CHAPTERS[chapter])) == stored


def test_they_are_not_executed_whole_besides() -> None:
    makefile = (FOLDER.parent / "Makefile").read_text("utf-8")
    (left_out,) = re.findall(r"^LIVE +:= (.*)$", makefile, re.M)
    assert left_out.split() == [chapter[:2] for chapter in CHAPTERS]
