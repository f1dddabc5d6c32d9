"""What every operator does with its inputs: dtype, layout, ids.

Embeddings in half precision are raised to float32 first, and no operator heeds autocast, or a
switch that lets products of float32 drop digits: a temperature divides the scores, and bfloat16
and TF32 have three.
"""

import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.library import CustomOpDef, custom_op

__all__ = [
    "check_batch",
    "check_ids",
    "check_no_tangent",
    "check_range",
    "full_precision",
    "operator",
    "promote_embeddings",
    "upcast_half",
]

HALF = (torch.bfloat16, torch.float16)


def full_precision(body: Callable[..., Any]) -> Callable[..., Any]:
    """Let an operator compute in the dtype of its inputs, also where autocast or TF32 is on.

    In a graph of ``torch.compile`` that holds the body itself, TF32 is as the graph's owner says.
    """

    @wraps(body)
    def run(first: Tensor, *others: Any) -> Any:
        device = first.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return run(first, *others)
        if torch.compiler.is_compiling():
            return body(first, *others)
        with _disable_tf32(device):
            return body(first, *others)

    return run


def operator(name: str) -> Callable[[Callable[..., Any]], CustomOpDef]:
    """Make ``torch.ops.psl.NAME`` of a function: in full precision, its tensors contiguous."""

    def make(body: Callable[..., Any]) -> CustomOpDef:
        @wraps(body)
        def run(*args: Any) -> Any:
            return body(*(x.contiguous() if isinstance(x, Tensor) else x for x in args))

        return custom_op(f"psl::{name}", full_precision(run), mutates_args=())

    return make


_lock, _inside, _back = threading.Lock(), Counter[str](), dict[str, Callable[[], None]]()


@contextmanager
def _disable_tf32(device: str) -> Iterator[None]:
    """Multiply float32 matrices in float32; leave the switches of the process as they were.

    Torch has them for the whole process, and autograd has threads of its own: the first that comes
    turns a switch, and the last that goes turns it back.
    """
    one_switch = not hasattr(torch.backends.cuda.matmul, "fp32_precision")  # until torch 2.8
    switch = "all" if one_switch else device
    with _lock:
        if not _inside[switch]:
            _back[switch] = _turn(device, one_switch)
        _inside[switch] += 1
    try:
        yield
    finally:
        with _lock:
            _inside[switch] -= 1
            if not _inside[switch]:
                _back[switch]()


def _turn(device: str, one_switch: bool) -> Callable[[], None]:
    """Turn a switch, and return what turns it back."""
    if one_switch:
        named = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        return lambda: torch.set_float32_matmul_precision(named)
    products = (torch.backends.mkldnn if device == "cpu" else torch.backends.cuda).matmul
    before = products.fp32_precision
    if before in ("ieee", "none"):
        return lambda: None
    products.fp32_precision = "ieee"

    def back() -> None:  # "none" follows the switch above it
        above = torch.backends.fp32_precision  # type: ignore[attr-defined]
        products.fp32_precision = "none" if before == above else before

    return back


def upcast_half(x: Tensor, what: str = "embeddings") -> Tensor:
    """Return a tensor in half precision as float32, a wider one as it is; differentiable.

    Raises ValueError, of ``what`` it is, for integers, whose unit rows would be zeros, and for
    complex numbers.
    """
    if not x.is_floating_point():
        raise ValueError(f"{what} must be floating point, got {x.dtype}")
    return x.float() if x.dtype in HALF else x


def promote_embeddings(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Return both tables in the wider of their dtypes, at least float32.

    Raises ValueError as :func:`upcast_half`, RuntimeError as :func:`check_no_tangent`.
    """
    check_no_tangent(users, items)
    users, items = upcast_half(users), upcast_half(items)
    dtype = torch.promote_types(users.dtype, items.dtype)
    return users.to(dtype), items.to(dtype)


def check_no_tangent(*tensors: Tensor) -> None:
    """Refuse a derivative in forward mode, which torch drops at an operator without a word."""
    if torch.compiler.is_compiling():
        return
    if any(unpack_dual(x).tangent is not None for x in tensors):
        raise RuntimeError(
            "there is no derivative in forward mode (jvp, jacfwd) here: take it in reverse mode"
        )


def check_batch(
    users: Tensor,
    items: Tensor,
    rows: int,
    *,
    positive: Tensor | None = None,
    columns: Tensor | None = None,
) -> None:
    """Refuse what a kernel would read beyond the ends of: kernels see addresses, no shapes."""
    if users.ndim != 2 or items.ndim != 2 or users.shape[1] != items.shape[1]:
        shapes = f"{tuple(users.shape)} and {tuple(items.shape)}"
        raise ValueError(f"expected users (B, d) and items (I, d), got {shapes}")
    if not items.numel():
        raise ValueError(f"there is no item to compare with: items is {tuple(items.shape)}")
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    for part, shape, ndim in ((positive, "(B,)", 1), (columns, "(B, N)", 2)):
        if part is not None and (part.ndim != ndim or len(part) != len(users)):
            words = f"expected {shape} item ids for {len(users)} rows"
            raise ValueError(f"{words}, got {tuple(part.shape)}")
        if part is not None and part.dtype != torch.int64:
            raise ValueError(f"item ids must be int64, got {part.dtype}")
    found = {x.device for x in (users, items, positive, columns) if x is not None}
    if len(found) > 1:
        names = ", ".join(sorted(map(str, found)))
        raise ValueError(f"embeddings and ids must lie on one device, got {names}")


def check_range(*scores: Tensor) -> None:
    """Warn of scores that are not on the scale ``cos / 2``; a GPU is not waited for.

    The text is always the same, so that Python says it once.
    """
    for part in scores:
        near = part.device.type == "cpu" and not torch.compiler.is_compiling()
        if near and bool((part.detach().abs() > 0.501).any()):
            warnings.warn(
                "scores outside [-1/2, 1/2]: the pairwise losses are meant for cos / 2, which "
                "psl.half_cosine gives; beyond it PSL can lose its gradient",
                stacklevel=3,
            )
            return


def check_ids(what: str, size: int, *ids: Tensor) -> None:
    """Refuse ids outside 0 .. size - 1 with an IndexError that says ``what`` they are of.

    On a CPU: a GPU would have to be waited for, and ``torch.compile`` cannot follow.
    """
    for part in ids:
        if part.device.type != "cpu" or torch.compiler.is_compiling() or not part.numel():
            continue
        if not 0 <= int(part.min()) <= int(part.max()) < size:
            raise IndexError(f"{what} id is not in 0 .. {size - 1}")
