"""Whether a dataset can be had here."""

from __future__ import annotations

import os
from pathlib import Path

from psl.datasets import get_source
from psl.errors import DataError, UnknownNameError

__all__ = ["unreachable"]


def unreachable(dataset: str, setting: str) -> str:
    """Say why a dataset cannot be had here, as far as that shows without asking the network.

    Empty if it can: generated, in the mirror, or public.
    """
    if dataset == "synthetic":
        return ""
    try:
        source = get_source(dataset, setting)
    except (DataError, UnknownNameError) as error:
        return str(error)
    mirror = os.environ.get("PSL_DATA_MIRROR", "").strip()
    if mirror.startswith(("http://", "https://")):
        return ""
    if mirror:
        there = (Path(mirror).expanduser() / source.path).is_file()
        return "" if there else f"no file {source.path} in PSL_DATA_MIRROR"
    if source.available:
        return ""
    return f"not public; put {source.path} under a folder and set PSL_DATA_MIRROR to it"
