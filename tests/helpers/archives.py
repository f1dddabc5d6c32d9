"""Archives for tests, written member by member."""

from __future__ import annotations

import zipfile
from pathlib import Path

HEADER = "user_procid\titem_procid\n"
TRAIN, TEST = HEADER + "0\t0\n0\t1\n1\t2\n", HEADER + "0\t2\n1\t0\n"


def write(path: Path, **members: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_tsv", ".tsv"), text)
    return path
