"""The house: one arrow between two homes, and imports only down the tables of CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import psl

ROOT = Path(__file__).parents[2]
HOMES = ("psl", "companion")
DOORS = ("psl/__init__.py", "companion/__main__.py")  # they name what is inside


def rooms(home: str) -> list[list[str]]:
    """Return the files and folders of a home, a list for each row of its table."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| (`{home}/.+?) \|", text, flags=re.MULTILINE)
    return [re.findall(rf"`({home}/[\w/]+(?:\.py|/))`", row) for row in rows]


def files(root: Path, home: str) -> list[str]:
    """Return the Python files of a home."""
    return [p.relative_to(root).as_posix() for p in sorted((root / home).rglob("*.py"))]


def imported(root: Path, file: str) -> Iterator[str]:
    """Return the files of both homes that a file imports, wherever in it."""
    for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] in HOMES:
                # What is imported is a module, or stands in one.
                yield next(
                    path.relative_to(root).as_posix()
                    for length in range(len(parts), 0, -1)
                    for base in [root.joinpath(*parts[:length])]
                    for path in (base.with_suffix(".py"), base / "__init__.py")
                    if path.is_file()
                )


def row_of(file: str, table: list[list[str]]) -> int:
    """Return the row of a table that a file belongs to: under its own name, or its folder's."""
    (found,) = (
        number
        for number, names in enumerate(table)
        if any(file == name or (name[-1] == "/" and file.startswith(name)) for name in names)
    )
    return found


def wrong_arrows(root: Path, home: str, table: list[list[str]]) -> list[str]:
    """Name the imports of a home that go up its table, or out of ``psl`` into ``companion``."""
    wrong = []
    for file in files(root, home):
        if file in DOORS or file == f"{home}/__init__.py":
            continue
        for other in imported(root, file):
            if not other.startswith(f"{home}/"):
                if home == "psl":
                    wrong.append(f"{file} imports {other}")
            elif other in DOORS or row_of(other, table) > row_of(file, table):
                wrong.append(f"{file} imports {other}")
    return wrong


@pytest.mark.parametrize("home", HOMES)
def test_imports_go_down_the_table(home: str) -> None:
    table = rooms(home)
    assert not wrong_arrows(ROOT, home, table)
    inside = [f for f in files(ROOT, home) if f not in DOORS and f != f"{home}/__init__.py"]
    assert {row_of(file, table) for file in inside} == set(range(len(table))), "an empty row"
    for name in (name for names in table for name in names):
        assert (ROOT / name).exists(), name


def test_what_contributing_points_to_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:psl|companion|tests|book|notebooks)/[\w./]*)`", text)
    gone = {path for path in paths if not (ROOT / path).exists()}
    assert len(paths) > 60 and gone == {"psl/losses/hinge.py", "psl/models/sgc.py"}, (
        "those of the examples alone are not there yet"
    )


QUESTIONS = {
    "the loss (4.1)": ("losses/pairwise.py", "def pairwise_softmax_loss("),
    "its dual (Lemma A.3)": ("psl.dro", "def dual_value("),
    "the negative samplers": ("psl.negatives", "class UniformNegatives"),
    "is one step": ("training/step.py", "def training_step("),
    "``kernels/cpu/sampled.py``": ("kernels/cpu/sampled.py", "def sampled_softmax("),
    "``kernels/cuda/sampled.py``": ("kernels/cuda/sampled.py", "def sampled_softmax("),
}


@pytest.mark.parametrize("words", QUESTIONS)
def test_who_asks_finds_the_file_in_one_guess(words: str) -> None:
    """The module's own docstring names it, and what was asked for is defined there."""
    place, definition = QUESTIONS[words]
    (entry,) = (x for x in (psl.__doc__ or "").split("\n- ") if words in x)
    assert place in entry
    path = place if place.endswith(".py") else place.removeprefix("psl.") + ".py"
    assert definition in (ROOT / "psl" / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("room", ["", "losses", "ops", "kernels", "models", "training"])
def test_a_room_says_what_is_in_each_of_its_files(room: str) -> None:
    folder = ROOT / "psl" / room
    doc = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    there = {path.stem for path in folder.rglob("*.py")} if room == "kernels" else set()
    there |= {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    named = set(re.findall(r"``(\w+)``|:mod:`psl\.(\w+)`", doc))
    assert there - {"__init__", "__pycache__"} <= {x for pair in named for x in pair}


# What a plain install brings, and where else an extra is needed.
BASE = {"torch", "numpy"}
EXTRAS = {
    "psl/kernels/": {"numba", "triton"},
    "psl/kernels/cpu/compiling.py": {"filelock"},
    "psl/models/graph.py": {"scipy"},
    "psl/training/tensor_file.py": {"safetensors"},
}


def foreign_to(file: str) -> set[str]:
    """Return the packages of others that a file imports, wherever in it."""
    tree = list(ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
    names = {str(node.module) for node in tree if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - set(HOMES)


def test_psl_needs_torch_and_numpy_and_reads_no_tables() -> None:
    """Pandas and pooch belong to the companion, which reads files; extras to where they serve."""
    for file in files(ROOT, "psl"):
        allowed = BASE.union(*(extra for room, extra in EXTRAS.items() if file.startswith(room)))
        assert foreign_to(file) <= allowed, file


def test_the_companion_needs_what_its_extra_brings() -> None:
    """Not what only the book's does, as IPython; an extra's package where it alone is needed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = extras["project"]["optional-dependencies"]["companion"]
    brought = {re.split(r"[^\w-]", line)[0] for line in listed} - {"psl", "pyyaml"}
    brought |= {"yaml", "markupsafe", "pydantic_core"}  # of pyyaml, jinja2 and pydantic
    # The latter in a notebook alone, which has it.
    rooms = {"companion/sweep/": {"ray"}, "companion/figures/style.py": {"matplotlib_inline"}}
    rooms |= {"companion/baselines/ials.py": {"implicit", "threadpoolctl"}}
    rooms |= {"companion/serving/files.py": {"pyarrow"}, "companion/tuning/": {"optuna"}}
    rooms |= {"companion/publish/pdf.py": {"playwright", "pypdf"}}
    brought = brought.union(BASE, *EXTRAS.values())
    for file in files(ROOT, "companion"):
        own = (extra for room, extra in rooms.items() if file.startswith(room))
        assert foreign_to(file) <= brought.union(*own), file


def test_the_extensions_of_the_book_need_what_its_extra_names() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    optional = extras["project"]["optional-dependencies"]
    listed = {re.split(r"[^\w-]", line)[0] for line in optional["book"] + optional["companion"]}
    called = {"bs4": "beautifulsoup4", "PIL": "pillow", "fontTools": "fonttools"}
    called |= dict.fromkeys(("sphinx", "docutils", "jupyter_cache"), "jupyter-book") | {
        "resvg_py": "resvg-py"
    }
    needed = set().union(*map(foreign_to, files(ROOT, "book/_ext")))
    assert needed >= {"fontTools", "sphinx"}
    assert {called.get(name, name) for name in needed} <= listed


@pytest.mark.parametrize("home", HOMES)
def test_no_two_files_import_each_other(home: str) -> None:
    graph = {file: set(imported(ROOT, file)) - {file} for file in files(ROOT, home)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("from companion import records", True),
        ("def f():\n    import companion.claims", True),
        ("from psl.training import train", True),
        ("from psl import half_cosine", True),
        ("from psl.errors import PSLError", False),
    ],
)
def test_a_wrong_arrow_is_seen(tmp_path: Path, line: str, seen: bool) -> None:
    for file in ("psl/__init__.py", "psl/errors.py", "psl/training/__init__.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    for file in ("companion/__init__.py", "companion/claims/__init__.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "psl" / "dro.py").write_text(line, encoding="utf-8")
    table = [["psl/errors.py"], ["psl/dro.py"], ["psl/training/"]]
    assert bool(wrong_arrows(tmp_path, "psl", table)) is seen


def test_the_module_stays_small() -> None:
    """A newcomer reads it: one idea a file, and all of it in an afternoon."""
    lines = {f: (ROOT / f).read_text(encoding="utf-8").count("\n") for f in files(ROOT, "psl")}
    assert max(lines.values()) <= 300 and sum(lines.values()) <= 8_499
