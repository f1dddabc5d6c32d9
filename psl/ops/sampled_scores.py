"""Scores of a batch against sampled items, as an operator of torch."""

from typing import Any

import torch
from torch import Tensor

from psl.kernels.dispatch import Impl, choose
from psl.ops.precision import check_batch, check_ids, full_precision, operator, promote_embeddings
from psl.ops.reference import add_gradients, score_rows

__all__ = ["sampled_scores"]


def sampled_scores(
    users: Tensor, items: Tensor, columns: Tensor | None, *, rows: int = 128, impl: Impl = "auto"
) -> Tensor:
    """Return the inner products of each row with its own items, differentiable in both tables.

    Parameters
    ----------
    users : Tensor, shape (B, d)
    items : Tensor, shape (I, d)
        Embeddings of the whole catalogue.
    columns : Tensor of int64, shape (B, M), or None
        Item ids; one may stand in a row more than once.  ``None``: each item, by a product.
    rows : int
        Rows scored at once without the kernels, at least 1: memory is at most ``2 * rows * I``
        numbers.
    impl : {"auto", "torch", "kernel"}
        The kernel of the device where it serves, else torch; or the one that is named.

    Returns
    -------
    Tensor, shape (B, M)
        Of the dtype of the embeddings, but at least float32, also under autocast.  It has a first
        derivative only: torch refuses the second, with a RuntimeError.

    Raises
    ------
    ValueError
        If shapes do not fit one another, the ids are not int64, ``rows`` is below 1, or
        ``impl`` is no name or ``"kernel"`` where none serves.
    IndexError
        For an id outside the catalogue, on a CPU.  A GPU is not waited for: its kernels score it
        NaN, and without them torch's own assertion fails on the device.
    """
    check_batch(users, items, rows, columns=columns)
    u, v = promote_embeddings(users, items)
    if columns is None and not torch.is_grad_enabled():  # an operator's first call loads a compiler
        return _all_scores(u, v, None)
    return _scores(u, v, columns, rows, impl)


_all_scores = full_precision(score_rows)


@operator("sampled_scores")
def _scores(users: Tensor, items: Tensor, columns: Tensor | None, rows: int, impl: str) -> Tensor:
    if columns is None:
        return score_rows(users, items, None)
    if kernel := choose("sampled_scores", users, impl):
        return kernel(users, items, columns)
    check_ids("an item", len(items), columns)
    parts = zip(users.split(rows), columns.split(rows), strict=True)
    return torch.cat([score_rows(u, items, c) for u, c in parts])


@operator("sampled_scores_backward")
def _scores_backward(
    users: Tensor, items: Tensor, columns: Tensor | None, weight: Tensor, rows: int, impl: str
) -> tuple[Tensor, Tensor]:
    if columns is not None and (kernel := choose("sampled_scores_backward", users, impl)):
        return kernel(users, items, columns, weight)
    grad_items = torch.zeros_like(items)
    if columns is None:
        return add_gradients(users, items, None, weight, grad_items), grad_items
    parts = zip(users.split(rows), columns.split(rows), weight.split(rows), strict=True)
    grad_users = torch.cat([add_gradients(u, items, c, w, grad_items) for u, c, w in parts])
    return grad_users, grad_items


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.settings = inputs[3:]


def _pass_back(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return *_scores_backward(*ctx.saved_tensors, grad, *ctx.settings), None, None, None


_scores.register_fake(
    lambda users, items, columns, *_: users.new_empty(
        (len(users), len(items)) if columns is None else columns.shape
    )
)
_scores_backward.register_fake(
    lambda users, items, *_: tuple(x.new_empty(x.shape) for x in (users, items))
)
_scores.register_autograd(_pass_back, setup_context=_keep)
