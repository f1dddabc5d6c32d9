"""Named random streams: every draw comes from one root seed, and no global generator is touched."""

import hashlib

import numpy as np
import torch
from torch import Tensor

__all__ = ["numpy_stream", "stream_key", "torch_stream", "uniforms"]


def stream_key(root: int, *name: str | int) -> int:
    """Return the 63-bit key of the stream ``name`` (e.g. ``"negatives", epoch, step``)."""
    text = "/".join(str(part) for part in (root, *name))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(root: int, *name: str | int, device: str = "cpu") -> torch.Generator:
    """Return a torch generator for the stream ``name``."""
    return torch.Generator(device=device).manual_seed(stream_key(root, *name))


def numpy_stream(root: int, *name: str | int) -> np.random.Generator:
    """Return a numpy generator for the stream ``name``."""
    return np.random.default_rng(stream_key(root, *name))


def uniforms(
    key: int | Tensor, shape: tuple[int, ...], device: torch.device | str = "cpu"
) -> Tensor:
    """Return numbers uniform on [0, 1), float64, that depend on ``key`` and their place alone.

    Number ``n`` is SplitMix64's output for the state ``key + n * 0x9E3779B97F4A7C15``, the ``n``-th
    from ``key``: no state is carried, so the same numbers come out on every device, in any number
    of threads, and after a resumed run.  The kernels have it again, as ``uniform`` in ``maths.py``.
    """

    def mix(h: Tensor, shift: int) -> Tensor:
        return h ^ ((h >> shift) & ((1 << (64 - shift)) - 1))  # >> keeps the sign: mask it away

    count = torch.Size(shape).numel()
    # The constants as signed 64-bit numbers; products wrap around, as they must.
    h = key + torch.arange(count, device=device) * (0x9E3779B97F4A7C15 - (1 << 64))
    h = mix(h, 30) * (0xBF58476D1CE4E5B9 - (1 << 64))
    h = mix(h, 27) * (0x94D049BB133111EB - (1 << 64))
    h = (mix(h, 31) >> 11) & ((1 << 53) - 1)
    return (h.double() * 2.0**-53).reshape(shape)
