"""The archives of the public datasets that are here, each against its checksum."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from companion import datasets
from companion.doctor.findings import Finding

__all__ = ["data_findings"]


def data_findings() -> Iterator[Finding]:
    """Look at the mirror or the cache; the network is not asked."""
    mirror = os.environ.get("PSL_DATA_MIRROR", "").strip()
    if mirror.startswith(("http://", "https://")):
        yield Finding("data mirror", "ok", f"{mirror}; not asked, `psl data fetch` does")
        mirror = ""
    elif mirror and not Path(mirror).expanduser().is_dir():
        yield Finding(
            "data mirror", "fail", f"{mirror}: no such folder", "set or unset PSL_DATA_MIRROR"
        )
        return
    here = datasets.archives_here()
    where = f"mirror {mirror}" if mirror else f"cache {datasets.cache_folder()}"
    damaged = {key: flaw for key, flaw in here.items() if flaw}
    text = f"{len(here) - len(damaged)} of {len(datasets.DATASETS)} archives in the {where}"
    if not damaged:
        yield Finding("data", "ok", f"{text}, as their checksums say" if here else text)
        return
    (name, setting), flaw = next(iter(damaged.items()))
    yield Finding(
        "data",
        "fail" if mirror else "warn",
        f"{text}, {len(damaged)} damaged: {name} ({setting}): {flaw}",
        "copy it again" if mirror else f"psl data fetch {name} --setting {setting} fetches it anew",
    )
