"""What all losses share: shapes, reductions, settings and how they are checked."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from psl.ops import upcast_half
from psl.ops.reduction import Reduction, check_reduction, reduce

__all__ = [
    "Loss",
    "Reduction",
    "check_at_least",
    "check_positive",
    "check_scores",
    "check_share",
    "format_extra_repr",
    "has_builtin_forward",
    "reduce",
]


class Loss(nn.Module):
    """What the modules of this package share: a reduction, and settings that ``print`` shows.

    One that is out of its range, or no name, is refused where the loss is made: ValueError.
    """

    settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction

    def extra_repr(self) -> str:
        """Show the settings in ``print(loss)``."""
        return format_extra_repr(self, *self.settings, "reduction")


def check_positive(*, sync: bool = False, **values: float | Tensor) -> list[float | Tensor]:
    """Return numbers that are positive and finite; a ValueError names one that is not.

    A tensor of one number, as a temperature that is learned, is returned without dimensions: it
    changes neither the shape nor the dtype of what it divides.  It is read where that costs
    nothing: on a CPU.  With ``sync``, for where a loss is made, it is read on a GPU too, which
    waits for the device and cannot stand in a CUDA graph.  While ``torch.compile`` traces nothing
    is read.
    """
    for name, value in values.items():
        if isinstance(value, Tensor):
            if value.numel() != 1:
                raise ValueError(f"{name} must be one number, got shape {tuple(value.shape)}")
            near = value.device.type == "cpu" or (sync and not value.is_meta)
            if torch.compiler.is_compiling() or not near:
                continue
        if value is None or isinstance(value, (str, list, tuple, complex)):
            raise ValueError(f"{name} must be a number, got {value!r}")
        number = float(value.detach()) if isinstance(value, Tensor) else value
        if not 0 < number < math.inf:  # math.isfinite cannot be traced with a symbolic number
            raise ValueError(f"{name} must be positive and finite, got {number}")
    return [v.reshape(()) if isinstance(v, Tensor) else float(v) for v in values.values()]


def check_at_least(least: int, **values: int) -> None:
    """Refuse a whole number below ``least``, by its name, with a ValueError."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def check_share(*, zero: bool = False, **values: float) -> None:
    """Refuse a number outside (0, 1], or [0, 1] with ``zero``, by its name, with a ValueError."""
    for name, value in values.items():
        if not 0 <= value <= 1 or (value == 0 and not zero):
            raise ValueError(f"{name} must lie in {'[' if zero else '('}0, 1], got {value}")


def check_scores(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores as a loss takes them: of the right shapes, and at least float32.

    Half types become float32 *before* anything is subtracted, so that a loss of half-precision
    scores is a float32 number, off by no more than the scores themselves; float32 and float64 stay.
    Raises ValueError for other shapes than (B,) and (B, N), N > 0, or a dtype that is no float.
    """
    if positive.ndim != 1 or negative.ndim != 2 or negative.shape[0] != positive.shape[0]:
        raise ValueError(
            "expected positive (B,) and negative (B, N), got "
            f"{tuple(positive.shape)} and {tuple(negative.shape)}"
        )
    if negative.shape[1] == 0:
        raise ValueError("each positive needs at least one item to be compared with (N = 0)")
    return upcast_half(positive, "scores"), upcast_half(negative, "scores")


def format_extra_repr(loss: nn.Module, *names: str) -> str:
    """Write settings of a loss as ``print`` shows them; one that is learned by its value now."""
    values = ((name, getattr(loss, name)) for name in names)
    return ", ".join(f"{n}={v.item() if isinstance(v, Tensor) else v!r}" for n, v in values)


def has_builtin_forward(loss: nn.Module, cls: type[nn.Module]) -> bool:
    """Whether calling ``loss`` runs the ``forward`` that ``cls`` wrote, and nothing beside it.

    What is fused stands for that function alone: not for a subclass that adds a margin, a method
    replaced on the object, or a hook that wants to see the scores.
    """
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    hooked = any(getattr(loss, kind) for kind in kinds)
    own = type(loss).forward is cls.forward and type(loss).__call__ is nn.Module.__call__
    return own and "forward" not in vars(loss) and not hooked
