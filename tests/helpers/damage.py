"""Damage to a file of tensors: of its bytes, or of its content under a new checksum."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from psl.training import tensor_file

__all__ = ["damaged_bytes", "damaged_content"]


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """Flip bits, cut, or put other bytes in; half of the time in the header."""
    size = 8 + int.from_bytes(whole[:8], "little")
    last = (size if draw(st.booleans()) else len(whole)) - 1
    out = bytearray(whole)
    for place in draw(st.lists(st.integers(0, last), max_size=3)):
        out[place] ^= 1 << draw(st.integers(0, 7))
    kind = draw(st.sampled_from(["flip", "cut", "insert", "replace"]))
    place = draw(st.integers(0, last))
    if kind == "cut":
        del out[place:]
    elif kind != "flip":
        new = draw(st.binary(min_size=1, max_size=9))
        out[place : place + len(new) * (kind == "replace")] = new
    return bytes(out)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "integers": lambda x: x.to(torch.int64),
    "bool": lambda x: x != 0,
    "flat": lambda x: x.reshape(-1),
    "deeper": lambda x: x[None],
    "shorter": lambda x: x.reshape(-1)[:-1],
    "transposed": lambda x: x.T.contiguous() if x.ndim == 2 else x[None, None],
    "nan": lambda x: torch.full_like(x, torch.nan) if x.is_floating_point() else x[:0],
    "empty": lambda x: x.reshape(-1)[:0],
}


@st.composite
def damaged_content(draw: st.DrawFn, path: Path) -> tuple[str, dict[str, Tensor], dict[str, Any]]:
    """Rename, leave out or change a tensor, or a value of the metadata; say which."""
    tensors, about = tensor_file.read(path)
    name = draw(st.sampled_from(sorted(tensors)))
    kind = draw(st.sampled_from(["rename", "lack", "lack key", *CHANGES]))
    if kind == "lack key":
        del about[draw(st.sampled_from(sorted(about)))]
    elif kind in CHANGES:
        tensors[name] = CHANGES[kind](tensors[name])
    else:
        tensor = tensors.pop(name)
        if kind == "rename":
            tensors[draw(st.text("ab/", min_size=1, max_size=9))] = tensor
    return kind, tensors, about
