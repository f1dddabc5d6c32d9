"""Scores of a batch against sampled items without ever building the (B, N, d) block of embeddings.

Everything here is a custom operator of torch, with a plain road in torch for every device and
dtype, and a fast one where it serves: the numba kernels on a CPU, the Triton kernels on a GPU.  The
softmax losses are fused with their scores and take their gradient in the forward pass, a few rows
at a time, so that nothing of size ``B x N`` is kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from psl.activations import get_activation
from psl.fast import cpu_kernels, gpu_kernels

__all__ = ["catalogue_loss", "sampled_loss", "sampled_scores", "unit_rows"]

Rows = tuple[Tensor, Tensor, Tensor]
SHORTEST = 1e-12  # of a row's length, as in torch.nn.functional.normalize


# --- scores -------------------------------------------------------------------------------------


def sampled_scores(users: Tensor, items: Tensor, columns: Tensor, *, rows: int = 128) -> Tensor:
    """Return the inner products of each row with its own items, differentiable in both tables.

    Parameters
    ----------
    users : Tensor, shape (B, d)
    items : Tensor, shape (I, d)
        Embeddings of the whole catalogue.
    columns : Tensor of int64, shape (B, M)
        Item ids; one may stand in a row more than once.
    rows : int
        Rows scored at once without the kernels: memory is ``2 * rows * I`` numbers.

    Returns
    -------
    Tensor, shape (B, M)
    """
    out: Tensor = _scores(users, items, columns, rows)
    return out


@custom_op("psl::sampled_scores", mutates_args=())
def _scores(users: Tensor, items: Tensor, columns: Tensor, rows: int) -> Tensor:
    kernels = gpu_kernels(users) or cpu_kernels(users)
    if kernels is not None:
        out: Tensor = kernels.scores(*_packed(users, items, columns))
        return out
    parts = zip(users.split(rows), columns.split(rows), strict=True)
    return torch.cat([_score_rows(u, items, c) for u, c in parts])


@custom_op("psl::sampled_scores_backward", mutates_args=())
def _scores_backward(
    users: Tensor, items: Tensor, columns: Tensor, weight: Tensor, rows: int
) -> tuple[Tensor, Tensor]:
    kernels = gpu_kernels(users) or cpu_kernels(users)
    if kernels is not None:
        out: tuple[Tensor, Tensor] = kernels.scatter_scores(*_packed(users, items, columns, weight))
        return out
    grad_users, grad_items = torch.empty_like(users), torch.zeros_like(items)
    for start in range(0, len(users), rows):
        part = slice(start, start + rows)
        grad_users[part] = _add_gradients(
            users[part], items, columns[part], weight[part], grad_items
        )
    return grad_users, grad_items


# --- the softmax losses, fused with their scores ------------------------------------------------


@custom_op("psl::pairwise_softmax", mutates_args=())
def _softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    tau: float,
    activation: str,
    rows: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean of (4.1) over the batch, and its gradients in users and items.

    ``negative`` without columns stands for every item of the catalogue, once.
    """
    on_gpu = gpu_kernels(users)
    kernels = on_gpu or cpu_kernels(users)
    if kernels is None:
        value, u, v = _softmax_rows(users, items, positive, negative, tau, activation, rows)
    else:
        # A GPU gathers slowly, for what its matrix products cost.
        most = (64 if on_gpu else 2) * negative.shape[1]
        dense = negative.shape[1] == 0 or len(items) <= most
        kernel = kernels.catalogue_softmax if dense else kernels.pairwise_softmax
        value, u, v = kernel(*_packed(users, items, positive, negative), tau, activation)
    return value.mean(), u, v


def _softmax_rows(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    tau: float,
    activation: str,
    rows: int,
) -> Rows:
    """Take value and gradient of a few rows at a time, in torch."""
    sigma, batch = get_activation(activation), len(users)
    value, grad_users = users.new_empty(batch), torch.empty_like(users)
    grad_items = torch.zeros_like(items)
    for start in range(0, batch, rows):
        part = slice(start, start + rows)
        u, own = users[part], positive[part].unsqueeze(1)
        columns = torch.cat([own, negative[part]], dim=1) if negative.shape[1] else None
        score = _score_rows(u, items, columns)
        d = score[:, 1:] - score[:, :1] if columns is not None else score - score.gather(1, own)
        term = sigma.log(d) / tau
        value[part] = torch.logsumexp(term, dim=1)
        weight = torch.softmax(term, dim=1) * sigma.slope(d) / (tau * batch)
        pull = -weight.sum(dim=1, keepdim=True)
        if columns is not None:
            weight = torch.cat([pull, weight], dim=1)
        else:
            weight.scatter_add_(1, own, pull)
        grad_users[part] = _add_gradients(u, items, columns, weight, grad_items)
    return value, grad_users, grad_items


def _score_rows(users: Tensor, items: Tensor, columns: Tensor | None) -> Tensor:
    """Score rows against their columns, or against the whole catalogue."""
    if columns is None:
        return users @ items.T
    if _few(columns, items):
        return torch.einsum("bd,bnd->bn", users, items[columns])
    return (users @ items.T).gather(1, columns)


def _add_gradients(
    users: Tensor, items: Tensor, columns: Tensor | None, weight: Tensor, grad_items: Tensor
) -> Tensor:
    """Add to the items' gradient and return that of the rows."""
    if columns is not None and _few(columns, items):
        block = weight.unsqueeze(-1) * users.unsqueeze(1)
        grad_items.index_add_(0, columns.flatten(), block.flatten(0, 1))
        return torch.einsum("bn,bnd->bd", weight, items[columns])
    if columns is not None:
        weight = weight.new_zeros(len(users), len(items)).scatter_add_(1, columns, weight)
    grad_items.addmm_(weight.T, users)
    return weight @ items


def _few(columns: Tensor, items: Tensor) -> bool:
    """Whether gathering the columns costs less than a product with the catalogue."""
    return columns.shape[1] * 64 < len(items)


def _packed(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.contiguous() for x in tensors)


# --- rows of unit length ------------------------------------------------------------------------


def unit_rows(x: Tensor) -> Tensor:
    """Return the rows of ``x`` (M, d) divided by their lengths, held above 1e-12."""
    out: Tensor = _unit(x)[0]
    return out


@custom_op("psl::unit_rows", mutates_args=())
def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows, and the factors (M,) that made them so."""
    kernels = cpu_kernels(x)
    if kernels is not None:
        out: tuple[Tensor, Tensor] = kernels.unit_rows(x.contiguous())
        return out
    inverse = 1 / torch.linalg.vector_norm(x, dim=1).clamp(min=SHORTEST)
    return x * inverse.unsqueeze(1), inverse


@custom_op("psl::unit_rows_backward", mutates_args=())
def _unit_backward(grad: Tensor, out: Tensor, inverse: Tensor) -> Tensor:
    kernels = cpu_kernels(out)
    if kernels is not None:
        grad_x: Tensor = kernels.unit_rows_backward(*_packed(grad, out, inverse))
        return grad_x
    along = (grad * out).sum(dim=1) * (inverse * SHORTEST < 1)  # no slope where a length is held
    return (grad - along.unsqueeze(1) * out) * inverse.unsqueeze(1)


# --- what torch must know of the operators: shapes, and their derivatives -----------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*(x for x in inputs if isinstance(x, Tensor)))
    ctx.rows = inputs[-1]


def _keep_gradients(ctx: Any, inputs: tuple[Any, ...], output: Rows) -> None:
    ctx.save_for_backward(*output[1:])
    ctx.mark_non_differentiable(*output[1:])


def _softmax_gradients(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    users, items = ctx.saved_tensors
    # The usual case: the loss itself was asked to go back.  A GPU is not waited for to learn it.
    if not (type(grad) is Tensor and grad.device.type == "cpu" and float(grad) == 1):
        users, items = users * grad, items * grad
    return users, items, None, None, None, None, None


def _keep_rows(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output)
    ctx.mark_non_differentiable(output[1])


_scores.register_fake(lambda users, items, columns, rows: users.new_empty(columns.shape))
_scores_backward.register_fake(
    lambda users, items, columns, weight, rows: (torch.empty_like(users), torch.empty_like(items))
)
_scores.register_autograd(
    lambda ctx, grad: (*_scores_backward(*ctx.saved_tensors, grad, ctx.rows), None, None),
    setup_context=_keep,
)
_softmax.register_fake(
    lambda users, items, *_: (users.new_empty(()), torch.empty_like(users), torch.empty_like(items))
)
_softmax.register_autograd(_softmax_gradients, setup_context=_keep_gradients)
_unit.register_fake(lambda x: (torch.empty_like(x), x.new_empty(x.shape[0])))
_unit_backward.register_fake(lambda grad, out, inverse: torch.empty_like(out))
_unit.register_autograd(
    lambda ctx, grad, _: _unit_backward(grad, *ctx.saved_tensors), setup_context=_keep_rows
)


# --- losses -------------------------------------------------------------------------------------


def sampled_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    rows: int = 128,
) -> Tensor:
    """Return the mean loss of a batch, differentiable in both embedding tables.

    Parameters
    ----------
    users, items, rows
        As in :func:`sampled_scores`.
    positive, negative : Tensor of int64, shapes (B,) and (B, N)
        Item ids.
    loss : callable
        ``(positive (B,), negative (B, N)) -> value``, a scalar mean or one value a row.  Parameters
        of its own get their gradients too.  A loss with an attribute ``fused``, a temperature, an
        activation and a factor, is the factor times the log of a sum of ``sigma(d)^(1/tau)`` (4.1),
        and is taken in one pass with its scores.

    Raises
    ------
    ValueError
        If no item was sampled.
    IndexError
        For an id outside the catalogue; on a GPU the loss of its row is NaN instead.
    """
    if getattr(loss, "fused", None) is not None:
        if negative.shape[1] == 0:
            raise ValueError("no item was sampled (N = 0); catalogue_loss takes all of them")
        return _fused_loss(users, items, positive, negative, loss, rows)
    scores = sampled_scores(users, items, torch.cat([positive[:, None], negative], 1), rows=rows)
    return loss(scores[:, 0], scores[:, 1:]).mean()


def catalogue_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    rows: int = 128,
) -> Tensor:
    """Return the mean loss against *every* item, the positive too: (4.1) as printed, no sampling.

    Parameters
    ----------
    users, items, positive, rows
        As in :func:`sampled_loss`; memory is ``rows * I`` numbers.
    loss : module
        One with an attribute ``fused``: SL, and PSL in its outside form.

    Raises
    ------
    ValueError
        For any other loss.
    """
    if getattr(loss, "fused", None) is None:
        raise ValueError(f"{loss!r} has no form against the whole catalogue: SL and PSL have")
    everything = positive.new_empty(len(users), 0)
    return _fused_loss(users, items, positive, everything, loss, rows)


def _fused_loss(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, loss: Any, rows: int
) -> Tensor:
    tau, activation, factor = loss.fused
    value: Tensor = _softmax(users, items, positive, negative, tau, activation, rows)[0]
    return value if factor == 1 else factor * value
