"""Named random streams: every draw comes from one root seed, and no global generator is touched."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

__all__ = ["numpy_stream", "torch_stream"]


def _seed(root: int, *name: str | int) -> int:
    text = "/".join(str(part) for part in (root, *name))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(root: int, *name: str | int, device: str = "cpu") -> torch.Generator:
    """Return a torch generator for the stream ``name`` (e.g. ``"negatives", epoch``)."""
    return torch.Generator(device=device).manual_seed(_seed(root, *name))


def numpy_stream(root: int, *name: str | int) -> np.random.Generator:
    """Return a numpy generator for the stream ``name``."""
    return np.random.default_rng(_seed(root, *name))
