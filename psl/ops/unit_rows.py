"""Rows of unit length, and the paper's scale of scores."""

from typing import Any

import torch
from torch import Tensor

from psl.kernels.dispatch import choose
from psl.ops.precision import check_no_tangent, operator, upcast_half

__all__ = ["half_cosine", "unit_rows"]

SHORTEST = 1e-12  # of a row's length, as in torch.nn.functional.normalize


def unit_rows(x: Tensor) -> Tensor:
    """Return the rows of ``x`` (M, d) divided by their lengths, held above 1e-12.

    Half precision becomes float32: a length must be right to more than three digits.  There is a
    first derivative only.  Raises ValueError for another number of dimensions, or integers, and
    RuntimeError for a derivative in forward mode.
    """
    if x.ndim != 2:
        raise ValueError(f"expected rows (M, d), got {tuple(x.shape)}")
    check_no_tangent(x)
    return _unit(upcast_half(x))[0]


def half_cosine(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Return tables whose inner products are the scores of the paper, ``f = cos / 2``.

    That is the scale on which every temperature here is meant, and on which ``d = f_j - f_i`` lies
    in [-1, 1].  With a plain cosine ``d`` reaches -2, and below -1 the gradient of PSL-relu is 0.

    Parameters
    ----------
    users : Tensor, shape (B, d)
    items : Tensor, shape (I, d)
        Embeddings of any length; in float32 one above 1e19 overflows and becomes 0.

    Returns
    -------
    tuple of Tensor, shapes (B, d) and (I, d)
        ``u`` and ``v`` with ``u @ v.T = cos / 2``, for :func:`sampled_loss`,
        :func:`catalogue_loss` and :func:`psl.evaluation.evaluate`; at least float32,
        differentiable.

    Raises
    ------
    ValueError
        If a table is no matrix, or its dtype is not a floating one.

    Examples
    --------
    >>> import torch
    >>> users, items = torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0], [-4.0, 3.0]])
    >>> u, v = half_cosine(users, items)
    >>> u @ v.T
    tensor([[0.5000, 0.0000]])
    """
    return unit_rows(users) / 2, unit_rows(items)


@operator("unit_rows")
def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows, and the factors (M,) that made them so."""
    if kernel := choose("unit_rows", x):
        return kernel(x)
    inverse = 1 / torch.linalg.vector_norm(x, dim=1).clamp(min=SHORTEST)
    return x * inverse.unsqueeze(1), inverse


@operator("unit_rows_backward")
def _unit_backward(grad: Tensor, out: Tensor, inverse: Tensor) -> Tensor:
    if kernel := choose("unit_rows_backward", out):
        return kernel(grad, out, inverse)
    along = (grad * out).sum(dim=1) * (inverse * SHORTEST < 1)  # no slope where a length is held
    return (grad - along.unsqueeze(1) * out) * inverse.unsqueeze(1)


def _keep_rows(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output)
    ctx.mark_non_differentiable(output[1])


_unit.register_fake(lambda x: (x.new_empty(x.shape), x.new_empty(x.shape[0])))
_unit_backward.register_fake(lambda grad, out, inverse: out.new_empty(out.shape))
_unit.register_autograd(
    lambda ctx, grad, _: _unit_backward(grad, *ctx.saved_tensors), setup_context=_keep_rows
)
