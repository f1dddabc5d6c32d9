"""Execute notebooks and store what comes out: a second time gives the same bytes.

python notebooks/execute.py notebooks/01-pairwise.ipynb
python notebooks/execute.py notebooks/04-training.ipynb -p epochs 5 --output /tmp/out
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml

# A figure as drawn for a phone: the book draws it anew, nobody reads it in a notebook.
PHONE = re.compile(r"\s*<dc:relation>.*?</dc:relation>", re.DOTALL)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def joined(outputs: list[Any]) -> list[Any]:
    """Put neighbouring pieces of one stream together: how they were cut is chance."""
    whole: list[Any] = []
    for output in outputs:
        last = whole[-1] if whole else None
        if (
            last
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            whole.append(output)
    return whole


def cleaned(notebook: Any) -> Any:
    """Take out what depends on the moment or the machine, in place."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.kernelspec = dict(KERNEL)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
            for data in (o.data for o in cell.outputs if "data" in o):
                if "image/svg+xml" in data:
                    data["image/svg+xml"] = PHONE.sub("", data["image/svg+xml"])
    return notebook


def execute(
    source: Path, parameters: dict[str, Any] | None = None, progress: bool = False
) -> Any:
    """Run a notebook in its own folder and return it executed and cleaned."""
    notebook = papermill.execute_notebook(
        str(source),
        None,
        parameters=parameters or {},
        kernel_name=KERNEL["name"],
        language=KERNEL["language"],
        cwd=str(source.parent),
        progress_bar=progress,
    )
    return cleaned(notebook)


def store(notebook: Any, target: Path) -> None:
    """Write a notebook at once or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook)
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.stem}-", suffix=".part"
    )
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")
        os.chmod(name, target.stat().st_mode if target.exists() else 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def main(arguments: list[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="value of a cell tagged `parameters` (YAML: 5, 0.1, true, [1, 2], text)",
    )
    parser.add_argument(
        "--output", type=Path, help="folder to write to; else each notebook is updated"
    )
    options = parser.parse_args(arguments)
    parameters = {name: yaml.safe_load(value) for name, value in options.parameter}
    if parameters and options.output is None:
        parser.error(
            "the stored chapters keep their parameters: give --output FOLDER with -p"
        )
    for source in options.notebooks:
        begin = time.monotonic()
        target = source if options.output is None else options.output / source.name
        store(execute(source, parameters, progress=sys.stderr.isatty()), target)
        print(f"{target}  {time.monotonic() - begin:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
