"""What a citer, an archive and a checker take away, made from the files of a checkout.

- ``source``: title, authors, licences, the paper, from ``CITATION.cff`` and ``pyproject.toml``.
- ``crate``: the checkout as an RO-Crate.
- ``metadata``: the files of metadata at its root, and whether they are up to date.
"""

from companion.publish.metadata import METADATA, outdated, write_metadata
from companion.publish.source import Source, read_source

__all__ = ["METADATA", "Source", "outdated", "read_source", "write_metadata"]
