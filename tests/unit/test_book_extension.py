"""What a number depends on makes it computed again, several at once; blanks end the build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
sys.path.insert(0, str(EXTENSIONS))
import build_checks  # noqa: E402

pytestmark = pytest.mark.first

CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_nb", "ahead", "build_checks"]
exclude_patterns = ["build", "book"]
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
"""
FIGURE = """
import base64
from IPython.display import Image
Image(base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="))
"""


def project(root: Path, *cells: nbformat.NotebookNode) -> Path:
    """Write a book of one page, and a module beside it."""
    (root / "conf.py").write_text(CONF, "utf-8")
    (root / "psl").mkdir()
    (root / "psl" / "__init__.py").touch()  # or an installed psl would come first
    (root / "psl" / "losses.py").write_text("VALUE = 1\n", "utf-8")
    return write(root, "index", *cells)


def write(root: Path, name: str, *cells: nbformat.NotebookNode, **metadata: bool) -> Path:
    """Write one page."""
    notebook = new_notebook(cells=[new_markdown_cell("# Page", id="title"), *cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    notebook.metadata.update(metadata)
    nbformat.write(notebook, root / f"{name}.ipynb")
    return root


def build(root: Path) -> subprocess.CompletedProcess[str]:
    """Build it without -W: what is refused is refused in any build."""
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-b", "html", "-d", "build/trees", ".", "build/html"],
        cwd=root,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_digest_follows_content_and_names_only(tmp_path: Path) -> None:
    module = tmp_path / "psl" / "losses.py"
    module.parent.mkdir()
    module.write_text("a = 1", "utf-8")
    first = build_checks.digest(tmp_path)
    os.utime(module, (1, 1))
    (tmp_path / "notes.txt").write_text("no ingredient", "utf-8")
    assert build_checks.digest(tmp_path) == first
    seen = {first}
    for name in ("companion/paper/table.csv", "companion/paper/claims.yml", "results/table1.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1", "utf-8")
        seen.add(build_checks.digest(tmp_path))
    module.write_text("a = 2", "utf-8")
    seen.add(build_checks.digest(tmp_path))
    (tmp_path / "requirements.lock").write_text("torch==1\n", "utf-8")
    seen.add(build_checks.digest(tmp_path))
    module.rename(module.with_name("other.py"))
    seen.add(build_checks.digest(tmp_path))
    assert len(seen) == 7


def test_a_change_of_the_module_is_computed_again(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, '.')\nimport psl.losses as l; print('value', l.VALUE)"
    root = project(tmp_path, new_code_cell(code, id="value"))
    page = root / "build" / "html" / "index.html"
    assert build(root).returncode == 0
    assert "value 1" in page.read_text("utf-8")
    assert "Executed" not in build(root).stdout
    (root / "psl" / "losses.py").write_text("VALUE = 22\n", "utf-8")
    assert build(root).returncode == 0
    assert "value 22" in page.read_text("utf-8")
    assert len(list((root / build_checks.CACHE).iterdir())) == 2


def test_a_page_without_a_source_is_removed(tmp_path: Path) -> None:
    root = project(tmp_path, new_markdown_cell("# First", id="first"))
    shutil.copyfile(root / "index.ipynb", root / "older.ipynb")
    pages = [root / "build" / "html" / f"{name}.html" for name in ("index", "older")]
    assert build(root).returncode == 0 and all(page.exists() for page in pages)
    (root / "older.ipynb").rename(root / "newer.ipynb")
    assert build(root).returncode == 0
    assert [page.exists() for page in (*pages, pages[1].with_name("newer.html"))] == [1, 0, 1]


def test_a_missing_glue_key_ends_the_build_each_time(tmp_path: Path) -> None:
    root = project(tmp_path, new_markdown_cell("Gap {glue:text}`index.ipynb::gap:.2f`", id="gap"))
    for _ in range(2):
        done = build(root)
        assert done.returncode != 0
        assert "gap" in done.stderr
        assert "The book would show blanks" in done.stderr


@pytest.mark.parametrize(
    ("settings", "accepted"), [({}, False), ({"image": {"alt": "A single black dot."}}, True)]
)
def test_an_image_needs_an_alternative(tmp_path: Path, settings: dict, accepted: bool) -> None:
    cell = new_code_cell(FIGURE, id="figure", metadata={"mystnb": settings})
    done = build(project(tmp_path, cell))
    assert (done.returncode == 0) is accepted, done.stderr
    assert ("no text alternative" in done.stderr) is not accepted


# Says that it runs, and waits for the other: one after the other they would wait in vain.
MEET = """
import pathlib, time
pathlib.Path("{own}.runs").touch()
end = time.monotonic() + 60
while not pathlib.Path("{other}.runs").exists() and time.monotonic() < end:
    time.sleep(0.05)
print("met" if pathlib.Path("{other}.runs").exists() else "alone", int(7.0))
"""
LINKS = """```{toctree}
a
b
alone
```"""


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core executes one notebook at a time")
def test_notebooks_are_executed_together_and_one_that_measures_times_is_not(
    tmp_path: Path,
) -> None:
    root = project(tmp_path, new_markdown_cell(LINKS, id="links"), new_code_cell("1", id="one"))
    for own, other in ("ab", "ba"):
        write(root, own, new_code_cell(MEET.format(own=own, other=other), id="meet"))
    seen = "print(sorted(p.name for p in __import__('pathlib').Path().glob('*.runs')))"
    write(root, "alone", new_code_cell(seen, id="seen"), executed_alone=True)
    done = build(root)
    assert done.returncode == 0, done.stderr
    pages = {name: (root / f"build/html/{name}.html").read_text("utf-8") for name in "ab"}
    assert all("met 7" in page for page in pages.values())
    assert "[100%] " in done.stdout.split("reading sources")[0]
    # Neither is executed twice, and the one that measures is executed by the reading, by itself.
    assert done.stdout.count("Executed notebook in") == 1
    assert "alone.ipynb: Executed notebook in" in done.stdout


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core executes one notebook at a time")
def test_a_notebook_that_fails_ends_the_build_and_the_others_are_kept(tmp_path: Path) -> None:
    root = project(tmp_path, new_markdown_cell(LINKS, id="links"), new_code_cell("1", id="one"))
    write(root, "a", new_code_cell("raise ValueError('what went wrong')", id="fails"))
    write(root, "b", new_code_cell("print('kept')", id="prints"))
    write(root, "alone", new_code_cell("2", id="two"))
    for executed in (4, 0):  # the second time one is left, which the reading executes
        done = build(root)
        assert done.returncode != 0 and "what went wrong" in done.stderr
        assert done.stdout.count("executing notebooks... [") == executed
