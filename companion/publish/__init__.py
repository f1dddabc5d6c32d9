"""What a citer, an archive and a checker take away, made from the files of a checkout.

- ``source``: title, authors, licences, the paper, from ``CITATION.cff`` and ``pyproject.toml``.
- ``crate``: the checkout as an RO-Crate.
- ``metadata``: the files of metadata at its root, and whether they are up to date.
- ``exports``: ledger and run records for programs, with JSON schemas.
- ``cite``: the commit of a checkout, and how a page of the book is cited.
- ``costs``: the cheapest command that checks a claim, as it was measured.
- ``receipts``: the kept receipts as a table.
"""

from companion.publish.cite import Build, bibtex, build_of, csl_json
from companion.publish.costs import Cost, costs
from companion.publish.exports import Claim, records_digest, schemas, write_exports
from companion.publish.metadata import METADATA, outdated, write_metadata
from companion.publish.receipts import kept_receipts, receipt_table
from companion.publish.source import Source, read_source

__all__ = [
    "METADATA",
    "Build",
    "Claim",
    "Cost",
    "Source",
    "bibtex",
    "build_of",
    "costs",
    "csl_json",
    "kept_receipts",
    "outdated",
    "read_source",
    "receipt_table",
    "records_digest",
    "schemas",
    "write_exports",
    "write_metadata",
]
