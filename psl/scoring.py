"""Scores of a batch against sampled items without ever building the (B, N, d) block of embeddings.

Everything here is a custom operator of torch, with a plain road in torch for every device and
dtype, and a fast one where it serves: the numba kernels on a CPU, the Triton kernels on a GPU.  The
softmax losses are fused with their scores and take their gradient in the forward pass, a few rows
at a time, so that nothing of size ``B x N`` is kept for the backward pass.  The plain road, too,
takes a few rows at a time; for them it gathers embeddings only where that is smaller than their
scores against the whole catalogue.

Embeddings in half precision are raised to float32 first, and no operator heeds autocast: a
temperature divides the scores, and bfloat16 has three digits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op
from torch.nn.functional import embedding

from psl.activations import get_activation
from psl.fast import cpu_kernels, gpu_kernels

__all__ = [
    "at_least_single",
    "catalogue_loss",
    "half_cosine",
    "sampled_loss",
    "sampled_scores",
    "unit_rows",
]

Rows = tuple[Tensor, Tensor, Tensor]
SHORTEST = 1e-12  # of a row's length, as in torch.nn.functional.normalize
HALF = (torch.bfloat16, torch.float16)


# --- what every operator needs ------------------------------------------------------------------


def _without_autocast(body: Callable[..., Any]) -> Callable[..., Any]:
    """Let an operator compute in the dtype of its inputs, also where autocast is on."""

    @wraps(body)
    def run(first: Tensor, *others: Any) -> Any:
        device = first.device.type
        if not torch.is_autocast_enabled(device):
            return body(first, *others)
        with torch.autocast(device, enabled=False):
            return body(first, *others)

    return run


def at_least_single(x: Tensor) -> Tensor:
    """Return a tensor in half precision as float32, and any other as it is; differentiable."""
    return x.float() if x.dtype in HALF else x


def _tables(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Return both tables in the wider of their dtypes, at least float32."""
    users, items = at_least_single(users), at_least_single(items)
    dtype = torch.promote_types(users.dtype, items.dtype)
    return users.to(dtype), items.to(dtype)


def _check_ids(items: Tensor, *ids: Tensor) -> None:
    """Refuse ids outside the table on a CPU; on a GPU the answer would have to be waited for."""
    if items.device.type != "cpu":
        return
    for part in ids:
        if part.numel() and not 0 <= int(part.min()) <= int(part.max()) < len(items):
            raise IndexError(f"an item id is not in 0 .. {len(items) - 1}")


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
        Rows scored at once without the kernels: memory is at most ``2 * rows * I`` numbers.

    Returns
    -------
    Tensor, shape (B, M)
        Of the dtype of the embeddings, but at least float32, also under autocast.

    Raises
    ------
    IndexError
        For an id outside the catalogue, on a CPU.  A GPU is not waited for: its kernels score it
        NaN, and without them torch's own assertion fails on the device.
    """
    out: Tensor = _scores(*_tables(users, items), columns, rows)
    return out


@custom_op("psl::sampled_scores", mutates_args=())
@_without_autocast
def _scores(users: Tensor, items: Tensor, columns: Tensor, rows: int) -> Tensor:
    kernels = gpu_kernels(users) or cpu_kernels(users)
    if kernels is not None:
        out: Tensor = kernels.scores(*_packed(users, items, columns))
        return out
    _check_ids(items, columns)
    parts = zip(users.split(rows), columns.split(rows), strict=True)
    return torch.cat([_score_rows(u, items, c) for u, c in parts])


@custom_op("psl::sampled_scores_backward", mutates_args=())
@_without_autocast
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
@_without_autocast
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
        _check_ids(items, positive, negative)
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
        return torch.einsum("bd,bnd->bn", users, embedding(columns, items))
    return (users @ items.T).gather(1, columns)


def _add_gradients(
    users: Tensor, items: Tensor, columns: Tensor | None, weight: Tensor, grad_items: Tensor
) -> Tensor:
    """Add to the items' gradient and return that of the rows."""
    if columns is not None and _few(columns, items):
        block = weight.unsqueeze(-1) * users.unsqueeze(1)
        grad_items.index_add_(0, columns.flatten(), block.flatten(0, 1))
        return torch.einsum("bn,bnd->bd", weight, embedding(columns, items))
    if columns is not None:
        weight = weight.new_zeros(len(users), len(items)).scatter_add_(1, columns, weight)
    grad_items.addmm_(weight.T, users)
    return weight @ items


def _few(columns: Tensor, items: Tensor) -> bool:
    """Whether gathering the columns costs less than a product with the catalogue.

    In time by far where 64 columns are fewer than the items, whatever d: both costs are
    proportional to it.  In memory only where ``M * d`` numbers are fewer than ``I`` as well.
    """
    return columns.shape[1] * max(64, items.shape[1]) < len(items)


def _packed(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.contiguous() for x in tensors)


# --- rows of unit length ------------------------------------------------------------------------


def unit_rows(x: Tensor) -> Tensor:
    """Return the rows of ``x`` (M, d) divided by their lengths, held above 1e-12.

    Half precision becomes float32: a length must be right to more than three digits.
    """
    out: Tensor = _unit(at_least_single(x))[0]
    return out


def half_cosine(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Return tables whose inner products are the scores of the paper, ``f = cos / 2``.

    That is the scale on which every temperature here is meant, and on which ``d = f_j - f_i`` lies
    in [-1, 1].  With a plain cosine ``d`` reaches -2, and below -1 the gradient of PSL-relu is 0.

    Parameters
    ----------
    users : Tensor, shape (B, d)
    items : Tensor, shape (I, d)
        Embeddings of any length.

    Returns
    -------
    tuple of Tensor, shapes (B, d) and (I, d)
        ``u`` and ``v`` with ``u @ v.T = cos / 2``, for :func:`sampled_loss`,
        :func:`catalogue_loss` and :func:`psl.evaluation.evaluate`; at least float32,
        differentiable.

    Examples
    --------
    >>> import torch
    >>> u, v = half_cosine(torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0], [-4.0, 3.0]]))
    >>> u @ v.T
    tensor([[0.5000, 0.0000]])
    """
    return unit_rows(users) / 2, unit_rows(items)


@custom_op("psl::unit_rows", mutates_args=())
@_without_autocast
def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows, and the factors (M,) that made them so."""
    kernels = cpu_kernels(x)
    if kernels is not None:
        out: tuple[Tensor, Tensor] = kernels.unit_rows(x.contiguous())
        return out
    inverse = 1 / torch.linalg.vector_norm(x, dim=1).clamp(min=SHORTEST)
    return x * inverse.unsqueeze(1), inverse


@custom_op("psl::unit_rows_backward", mutates_args=())
@_without_autocast
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
        As in :func:`sampled_scores`.  The inner products are the scores, on the scale that the loss
        expects: for the softmax losses ``cos / 2``, which :func:`half_cosine` gives.
    positive, negative : Tensor of int64, shapes (B,) and (B, N)
        Item ids.
    loss : callable
        ``(positive (B,), negative (B, N)) -> value``, a scalar mean or one value a row: a module of
        this package with ``reduction="mean"`` or ``"none"``, which are the same here.  Parameters
        of its own get their gradients too.  A loss with an attribute ``fused`` that is not None, a
        temperature, an activation and a factor, says that it is the factor times the log of a sum
        of ``sigma(d)^(1/tau)`` (4.1) and nothing else, and is taken in one pass with its scores.

    Returns
    -------
    Tensor
        Scalar; of the dtype of the embeddings, but at least float32, also under autocast.

    Raises
    ------
    ValueError
        If no item was sampled, or the loss has another reduction: a sum would not be the mean.
    IndexError
        For an id outside the catalogue, on a CPU.  A GPU is not waited for: with its kernels the
        loss is NaN, and without them torch's own assertion fails on the device.
    """
    _check_reduction(loss)
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
        As in :func:`sampled_loss`, scale included; memory is ``rows * I`` numbers.
    loss : module
        One with an attribute ``fused``: SL, and PSL in its outside form.

    Returns
    -------
    Tensor
        Scalar, as :func:`sampled_loss`.

    Raises
    ------
    ValueError
        For any other loss, also an SL or PSL that is not fused: with another reduction or
        correction, a learned temperature, a ``forward`` of its own, or hooks.
    IndexError
        As :func:`sampled_loss`.
    """
    _check_reduction(loss)
    if getattr(loss, "fused", None) is None:
        raise ValueError(
            f"{loss!r} has no form against the whole catalogue: SL and PSL have, with a fixed "
            "temperature and as this package defines them"
        )
    everything = positive.new_empty(len(users), 0)
    return _fused_loss(users, items, positive, everything, loss, rows)


def _fused_loss(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor, loss: Any, rows: int
) -> Tensor:
    tau, activation, factor = loss.fused
    u, v = _tables(users, items)
    value: Tensor = _softmax(u, v, positive, negative, tau, activation, rows)[0]
    return value if factor == 1 else factor * value


def _check_reduction(loss: Any) -> None:
    """Refuse a loss whose value is not the mean of its rows, as far as it says so."""
    given: dict[str, Any] = {}
    while isinstance(loss, partial):
        given, loss = {**loss.keywords, **given}, loss.func
    reduction = given.get("reduction", getattr(loss, "reduction", "mean"))
    if reduction not in ("mean", "none"):
        raise ValueError(
            "the mean over the batch is returned: reduction must be 'mean' or 'none' here, "
            f"got {reduction!r}"
        )
