"""A book that cannot show old numbers, blanks or unexplained pictures.

* jupyter-cache looks only at a notebook's cells. Here the cache lies in a folder named after
  everything else that a number depends on (module, facts of the paper, run records, lock), so a
  change there executes every notebook again, also under a plain `jupyter-book build .`.
* A glued value that does not exist, or an image without a text alternative, ends the build with an
  error.
* A page whose source is gone is gone too.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

CACHE = "book/_build/.jupyter_cache"
INGREDIENTS = (
    "psl/**/*.py",
    "psl/**/*.csv",
    "companion/**/*.py",
    "companion/**/*.csv",
    "companion/**/*.yml",
    "companion/**/*.mplstyle",
    "companion/templates/*",
    "results/**/*.jsonl",
    "results/**/*.csv",
    "receipts/*.json",
    "book/**/*.mplstyle",
    "requirements.lock",
)


def digest(root: Path, patterns: Iterable[str] = INGREDIENTS) -> str:
    """Fingerprint of the files that the notebooks' outputs depend on, whatever their age."""
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    total = hashlib.sha256()
    for path in sorted(found, key=lambda path: path.relative_to(root).as_posix()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return total.hexdigest()[:16]


def choose_cache(app: Sphinx, config: Config) -> None:
    """Name the cache after the digest. Sphinx sees the change and reads every page again."""
    root = Path(app.srcdir)
    config.nb_execution_cache_path = str(root / CACHE / digest(root))


class MissingGlue(logging.Handler):
    """Collect what myst-nb says of glued values that it cannot find or format."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of a record about glue."""
        message = str(record.msg)
        subtype = str(getattr(record, "subtype", ""))
        if subtype.startswith("glue") or "[mystnb.glue" in message:
            self.messages.append(message)


def collect_images(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Note every image of a page that has no text alternative of its own."""
    if app.builder.format != "html":
        return
    for image in doctree.findall(nodes.image):
        alt = str(image.get("alt") or "").strip()
        if not alt or alt == image.get("uri"):
            app.env.companion_faults.append(  # type: ignore[attr-defined]
                f"{docname}: the image {image.get('uri')} has no text alternative: "
                "set the cell metadata mystnb.image.alt"
            )


def start(app: Sphinx) -> None:
    """Begin a build without faults."""
    app.env.companion_faults = []  # type: ignore[attr-defined]
    handler = MissingGlue()
    app.companion_glue = handler  # type: ignore[attr-defined]
    logging.getLogger("sphinx").addHandler(handler)


def refuse(app: Sphinx, exception: Exception | None) -> None:
    """End the build with an error when something is missing, now and on the next try too."""
    handler: MissingGlue | None = getattr(app, "companion_glue", None)
    if handler is None:
        return
    logging.getLogger("sphinx").removeHandler(handler)
    faults = [*dict.fromkeys(handler.messages), *dict.fromkeys(app.env.companion_faults)]  # type: ignore[attr-defined]
    if exception is None and faults:
        # Without the stored environment the next build reads every page again, and fails again.
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)
        raise ExtensionError("The book would show blanks:\n  " + "\n  ".join(faults))


def drop_pages(app: Sphinx, exception: Exception | None) -> None:
    """Remove pages of an earlier build that have no source any more."""
    if exception is not None or app.builder.format != "html":
        return
    folder, end = Path(app.outdir) / "_sources", app.config.html_sourcelink_suffix
    for copy in folder.rglob("*.*"):
        source = copy.relative_to(folder).as_posix().removesuffix(end)
        name = str(Path(source).with_suffix(""))
        if name not in app.env.found_docs:
            copy.unlink()
            (Path(app.outdir) / f"{name}.html").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", choose_cache, priority=900)
    app.connect("builder-inited", start, priority=900)
    app.connect("doctree-resolved", collect_images, priority=100)
    app.connect("build-finished", refuse, priority=100)
    app.connect("build-finished", drop_pages, priority=100)
    # Faults are collected in this process, so pages are not read or written by several at once.
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
