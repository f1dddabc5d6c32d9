"""What names a run and the code that made it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psl
from companion import records


def test_the_run_id_depends_on_content_not_order() -> None:
    assert records.run_id({"a": 1, "b": 2}) == records.run_id({"b": 2, "a": 1})
    assert records.run_id({"a": 1}) != records.run_id({"a": 2})


def test_the_digest_is_of_places_and_content(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            path = folder / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return records.digest_of(folder)

    first = digest(a__x="1", b__x="2", y="3")
    assert first == digest(y="3", b__x="2", a__x="1") and len(first) == 16
    changed = [
        digest(a__x="1", c__x="2", y="3"),  # in another folder, under the same name
        digest(a__x="1", b__x="2", z="3"),
        digest(a__x="1", b__x="2", y="4"),
        digest(a__x="1", b__x="2"),
        digest(a__x="1", b__x="2y3", y="3"),
    ]
    assert len({first, *changed}) == 6


def test_the_digest_is_of_the_code_that_runs(tmp_path: Path) -> None:
    """A file that is edited, or added, after the import changes nothing in this process."""
    house = Path(psl.__file__).parent
    shutil.copytree(house, tmp_path / "psl", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "from pathlib import Path; import psl; from companion import records\n"
        "before = records.provenance()['code_digest']\n"
        "path = Path(psl.__file__)\n"
        "path.write_text(path.read_text() + '# edited')\n"
        "path.with_name('added.py').write_text('')\n"
        "print(before, records.provenance()['code_digest'], records.CODE_DIGEST)"
    )

    def run() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    first, second = run(), run()
    assert len(set(first)) == 1 == len(set(second)) and first != second
    assert records.CODE_DIGEST == records.provenance()["code_digest"] != second[0]
