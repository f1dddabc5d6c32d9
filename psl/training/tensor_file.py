"""Tensors and what is said of them in one safetensors file, with a digest over all of it."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from psl.files import replace_file

__all__ = ["read", "write"]

KEY = "sha256"  # of the metadata


def write(path: Path | str, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """Write a file, atomically; the same content gives the same bytes."""
    content = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    raw = memoryview(to_bytes(content))
    size = int.from_bytes(raw[:8], "little")
    # Written here and not by safetensors, which puts metadata in random order.
    metadata = dict(sorted((about | {KEY: _digest(content, about)}).items()))
    header = json.dumps({"__metadata__": metadata, **json.loads(bytes(raw[8 : 8 + size]))}).encode()
    header += b" " * (-len(header) % 8)  # tensors begin where a word does
    replace_file(path, len(header).to_bytes(8, "little"), header, raw[8 + size :])


def read(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what :func:`write` wrote.

    Raises ValueError if there is no such file, or not a bit of it is as it was written; the text
    says why.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise OSError("it is no file, but a folder, pipe or device")  # a pipe is waited for
        with safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        found = about.pop(KEY, None)
        whole = found == _digest(tensors, about)
    except Exception as error:  # whatever a damaged file does to its readers: they share no base
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if not whole:
        raise ValueError("its content is not what its checksum says" if found else "no checksum")
    return tensors, about


def _digest(tensors: dict[str, Tensor], about: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name!r} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
