"""The chapters are stored executed: nbval says nothing about a cell without a stored run."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
CHAPTERS = sorted(FOLDER.glob("[0-9]*.ipynb"))

pytestmark = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    notebook = nbformat.read(path, 4)
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def test_executed_in_order(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebooks`"


def test_no_errors_and_no_warnings(path: Path) -> None:
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    stderr = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not stderr, "a chapter does not show warnings: mend their cause"


def test_nothing_of_the_moment_or_machine(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    assert "papermill" not in notebook.metadata
    assert "version" not in notebook.metadata.get("language_info", {})
    for cell in notebook.cells:
        assert not {"papermill", "execution"} & set(cell.metadata)
        assert "injected-parameters" not in cell.metadata.get("tags", [])
    assert notebook.metadata.kernelspec.name == "python3"
    text = path.read_text(encoding="utf-8")
    assert "/home/" not in text and "/tmp/" not in text, "a path of one machine"


def test_every_image_has_an_alternative(path: Path) -> None:
    for number, cell in enumerate(code_cells(path), start=1):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if any(kind.startswith("image/") for kind in kinds):
            settings = cell.metadata.get("mystnb", {})
            alt = settings.get("image", {}).get("alt", "")
            assert len(alt.split()) >= 4, f"cell {number}: describe the figure in mystnb.image.alt"


def test_something_is_compared(path: Path) -> None:
    tagged = [c for c in code_cells(path) if "nbval-check-output" in c.metadata.get("tags", [])]
    assert tagged, "tag at least one cell nbval-check-output"
    assert all(cell.outputs for cell in tagged), "a compared cell shows something"


def test_code_waits_until_it_is_asked_for(path: Path) -> None:
    """Setup is folded, tables are no listings, and little open code precedes the first figure."""
    cells, folded = code_cells(path), "hide-input"
    for cell in cells:
        if re.search(r"^(import|from) ", cell.source, flags=re.MULTILINE):
            assert folded in cell.metadata["tags"], "imports"
    printed = [output.text for c in cells for output in c.outputs if "text" in output]
    assert sum(text.count("\n") for text in printed) <= 4, "a table, not a listing"
    shown = [any("image/svg+xml" in o.get("data", {}) for o in cell.outputs) for cell in cells]
    before = cells[: shown.index(True)] if any(shown) else []
    opened = [cell.source for cell in before if folded not in cell.metadata.get("tags", [])]
    assert sum(source.count("\n") + 1 for source in opened) <= 40


def test_the_short_answer_is_short(path: Path) -> None:
    opening = nbformat.read(path, 4).cells[0].source
    found = re.search(r":class: tip\n(.+?)```", opening, flags=re.DOTALL)
    assert found, "a chapter opens with In short"
    assert len(found[1].split()) <= 60, "sixty words at most"
