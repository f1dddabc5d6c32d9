"""The mean loss of a batch, from embeddings and item ids."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from psl.ops.fused_softmax import fused_softmax
from psl.ops.fused_spec import FusedSpec, fused_spec
from psl.ops.precision import check_batch, promote_embeddings
from psl.ops.sampled_scores import sampled_scores

__all__ = ["catalogue_loss", "sampled_loss"]


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
        As in :func:`psl.ops.sampled_scores`.  The inner products are the scores, on the scale
        that the loss expects: for the softmax losses ``cos / 2``, which :func:`half_cosine` gives.
    positive, negative : Tensor of int64, shapes (B,) and (B, N)
        Item ids.
    loss : callable
        ``(positive (B,), negative (B, N)) -> value``, a scalar mean or one value a row: a module of
        this package with ``reduction="mean"`` or ``"none"``, which are the same here.  Parameters
        of its own get their gradients too.  One whose attribute ``fused`` is a
        :class:`psl.ops.FusedSpec` is taken in one pass with its scores.

    Returns
    -------
    Tensor
        Scalar; of the dtype of the embeddings, but at least float32, also under autocast.  It has
        a first derivative only: a penalty on its gradient cannot go back.

    Raises
    ------
    ValueError
        If shapes do not fit, the ids are not int64, no item was sampled, ``rows`` is below 1, or
        the loss has another reduction: a sum would not be the mean.
    IndexError
        For an id outside the catalogue, on a CPU.  A GPU is not waited for: with its kernels the
        loss is NaN, and without them torch's own assertion fails on the device.
    RuntimeError
        If a second derivative is asked for.
    """
    _check_reduction(loss)
    check_batch(users, items, rows, positive=positive, columns=negative)
    spec = fused_spec(loss)
    if spec is not None:
        if negative.shape[1] == 0:
            raise ValueError("no item was sampled (N = 0); catalogue_loss takes all of them")
        return _fused_loss(users, items, positive, negative, spec, rows)
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
    users, items, positive
        As in :func:`sampled_loss`, scale included.
    rows : int
        Rows scored at once without the kernels, at least 1: memory is a few times ``rows * I``
        numbers.  The kernels choose for themselves, and take 32 MiB at most on a CPU and 512 MiB on
        a GPU, or one row where that is more.
    loss : module
        One whose ``fused`` is a :class:`psl.ops.FusedSpec`: SL, and PSL in its outside form.

    Returns
    -------
    Tensor
        Scalar, as :func:`sampled_loss`.

    Raises
    ------
    ValueError
        For any other loss, also an SL or PSL that is not fused: with another reduction or
        correction, a learned temperature, a ``forward`` of its own, or hooks; and as
        :func:`sampled_loss`.
    IndexError, RuntimeError
        As :func:`sampled_loss`.
    """
    _check_reduction(loss)
    check_batch(users, items, rows, positive=positive)
    spec = fused_spec(loss)
    if spec is None:
        raise ValueError(
            f"{loss!r} has no form against the whole catalogue: SL and PSL have, with a fixed "
            "temperature and as this package defines them"
        )
    return _fused_loss(users, items, positive, None, spec, rows)


def _fused_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    spec: FusedSpec,
    rows: int,
) -> Tensor:
    u, v = promote_embeddings(users, items)
    value: Tensor = fused_softmax(u, v, positive, negative, spec.tau, spec.activation, rows)[0]
    return value if spec.factor == 1 else spec.factor * value


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
