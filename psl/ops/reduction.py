"""From one value a row to what is returned."""

from typing import Literal, get_args

from torch import Tensor

__all__ = ["Reduction", "check_reduction", "reduce"]

Reduction = Literal["mean", "sum", "none"]


def check_reduction(reduction: str) -> None:
    """Refuse what is no reduction, with a ValueError."""
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def reduce(value: Tensor, reduction: Reduction, counted: Tensor | None = None) -> Tensor:
    """Reduce one value a row to what ``reduction`` names; a ValueError if it names nothing.

    The mean is over the rows that are ``counted`` (bool, (B,)), where the others are 0 in
    ``value``; the mean of no row at all is 0, and has no gradient.
    """
    check_reduction(reduction)
    if reduction == "none":
        return value
    if reduction == "mean" and counted is not None:
        return value.sum() / counted.sum().clamp(min=1)
    return value.mean() if reduction == "mean" and len(value) else value.sum()
