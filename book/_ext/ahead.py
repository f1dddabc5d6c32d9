"""Notebooks executed several at once, before their pages are read one after the other.

myst-nb executes a notebook when it reads it, so a build waits for one kernel at a time.  Here those
that are not in its cache are executed before the reading begins; the reading then finds them there.
A notebook that fails is left to the reading, which executes it again and says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.display import status_iterator

# Each takes memory, and computes in threads of its own.
AT_ONCE = 4
# Metadata of a notebook that measures times: others would slow it down.
ALONE = "executed_alone"


def _due(cache: JupyterCacheAbstract, paths: list[Path]) -> Iterator[tuple[Path, Any]]:
    """Yield the notebooks that are not in the cache, with their paths."""
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            yield path, notebook


def execute_ahead(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Execute the notebooks among the pages to be read, and put them into myst-nb's cache."""
    config = env.mystnb_config  # type: ignore[attr-defined]
    at_once = min(AT_ONCE, os.cpu_count() or 1)
    if config.execution_mode != "cache" or at_once < 2:
        return
    cache = get_cache(config.execution_cache_path)
    paths = sorted(Path(env.doc2path(name)) for name in docnames)
    due = list(_due(cache, [path for path in paths if path.suffix == ".ipynb"]))
    together = [pair for pair in due if not pair[1].metadata.get(ALONE)]
    if len(together) < 2:
        return

    def execute(path: Path, notebook: Any) -> tuple[Path, ExecutionResult]:
        allow, limit = config.execution_allow_errors, config.execution_timeout
        return path, single_nb_execution(notebook, str(path.parent), limit, allow)

    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(execute, *pair) for pair in together]
        results = (done.result() for done in as_completed(running))
        shown: Any = status_iterator(
            results, "executing notebooks... ", "brown", len(together), app.verbosity, _name
        )
        for path, result in shown:
            if result.err is None:
                staged = cache.add_nb_to_project(str(path))
                data = {"execution_seconds": result.time}
                bundle = CacheBundleIn(result.nb, staged.uri, data=data)
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _name(done: tuple[Path, ExecutionResult]) -> str:
    """Return what the progress says of a notebook."""
    path, result = done
    return f"{path.stem}, {result.time:.0f} s" + (", failed" if result.err else "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("env-before-read-docs", execute_ahead)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
