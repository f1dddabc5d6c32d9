"""What a loss says of itself so that its scores and its value are taken in one pass."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FusedSpec", "fused_spec"]


@dataclass(frozen=True)
class FusedSpec:
    """A loss that is ``factor * log sum_j sigma(d_j)^(1/tau)`` (4.1), and nothing else.

    Attributes
    ----------
    tau : float
        Temperature, positive and fixed.
    activation : {"exp", "tanh", "atan", "relu", "softplus"}
        The surrogate ``sigma``.
    factor : float
    """

    tau: float
    activation: str
    factor: float = 1.0


def fused_spec(loss: object) -> FusedSpec | None:
    """Return the attribute ``fused`` of a loss; ``None`` for a loss that has none, or says None.

    Raises
    ------
    TypeError
        If it is anything else: it would be read as another function.
    """
    spec = getattr(loss, "fused", None)
    if spec is not None and not isinstance(spec, FusedSpec):
        raise TypeError(f"{type(loss).__name__}.fused must be a FusedSpec or None, got {spec!r}")
    return spec
