"""HTML from templates: escaped, the same bytes each time, asking nobody; its files are packaged."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from companion.pages import render

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "companion" / "templates"
ROW = {"name": "<b>", "state": "failed", "text": "a & b", "printed": {}, "metrics": {"x": 0.25}}


def test_values_are_escaped_and_a_missing_one_is_an_error() -> None:
    values = {"title": "</title>", "rows": [ROW | {"minutes": 1.25}], "metrics": ["x"]} | {
        "models": []
    }
    page = render("sweep.html", **values)
    assert page == render("sweep.html", **values)
    assert "<title>&lt;/title&gt;</title>" in page and "<td>&lt;b&gt;</td>" in page
    assert '<td class="number">0.2500</td><td class="number"></td>' in page
    assert "<li>&lt;b&gt;: failed. a &amp; b</li></ul>" in page
    with pytest.raises(UndefinedError, match="metrics"):
        render("sweep.html", title="", rows=[], models=[])
    data = {"curves": {}, "reference": "</script>", "taus": [1.0]}
    assert page.count("</style>") == 1
    assert render("weights.html", data=data, losses={}, loss="", step=0).count("</script>") == 2


@pytest.mark.parametrize("file", sorted(p.name for p in TEMPLATES.iterdir()))
def test_a_template_asks_nobody(file: str) -> None:
    text = (TEMPLATES / file).read_text(encoding="utf-8")
    foreign = r"https?:|//[a-z]|\b(src|href)=(?!\"#)|@import|\bimport\b|url\(|fetch\("
    assert not re.search(foreign, re.sub(r"\{%.*?%\}", "", text))
    assert max(map(len, text.splitlines())) <= 130


@pytest.mark.parametrize("script", sorted(TEMPLATES.glob("*.js")), ids=lambda p: p.name)
def test_a_script_is_javascript(script: Path) -> None:
    import playwright

    own = Path(playwright.__file__).with_name("driver") / "node"
    node = shutil.which("node") or (str(own) if own.exists() else None)
    if node is None:
        pytest.skip("no node here to parse it; the browser's tests run it")
    done = subprocess.run([node, "--check", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("home", ["psl", "companion"])
def test_what_is_no_python_is_packaged(home: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, some in project["tool"]["setuptools"]["package-data"].items()
        for pattern in some
    ]
    for path in (p for p in (ROOT / home).rglob("*") if p.is_file()):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix != ".py" and "__pycache__" not in name:
            assert any(fnmatch(name, p) and name.count("/") == p.count("/") for p in patterns), name
