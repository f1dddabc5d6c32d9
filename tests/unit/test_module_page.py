"""The book's page on the module: what it names is there, and what is at the front door it names."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import psl

PAGE = Path(__file__).parents[2] / "book" / "module.md"
DIRECTIVE = re.compile(r"^\.\. auto(\w+):: (\S+)$", re.MULTILINE)
NAMED = DIRECTIVE.findall(PAGE.read_text())


@pytest.mark.parametrize(("kind", "path"), NAMED, ids=[path for _, path in NAMED])
def test_what_is_named_is_public_and_says_what_it_does(kind: str, path: str) -> None:
    module, name = path.rsplit(".", 1)
    assert name in import_module(module).__all__
    entry = getattr(import_module(module), name)
    assert isinstance(entry, type) == (kind in ("class", "exception"))
    assert entry.__doc__ and len(entry.__doc__) > 20


@pytest.mark.parametrize("path", [path for kind, path in NAMED if kind == "class"])
def test_an_attribute_has_a_line_of_its_own(path: str) -> None:
    """Sphinx takes the first names of ``a, b : int`` for a part of the type."""
    module, name = path.rsplit(".", 1)
    doc = inspect.getdoc(getattr(import_module(module), name)) or ""
    section = re.search(r"^Attributes\n-+\n(.*?)(?:\n\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    if section is not None:
        fields = [line for line in section[1].splitlines() if not line.startswith(" ")]
        assert not [field for field in fields if "," in field.partition(" : ")[0]]


def test_nothing_of_the_front_door_is_missing() -> None:
    named = [path for _, path in NAMED]
    assert len(named) == len(set(named)) > 40
    wanted = {f"psl.{name}" for name in psl.__all__ if name != "__version__"}
    assert not wanted - set(named)
    classes = {name for name in psl.losses.__all__ if name.endswith("Loss")}
    assert classes <= {path.rsplit(".", 1)[1] for path in named}
