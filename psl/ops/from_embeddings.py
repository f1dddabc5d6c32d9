"""The loss of a batch, from embeddings and item ids."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from psl.activations import get_activation
from psl.ops.fused_softmax import fused_softmax
from psl.ops.fused_spec import FusedSpec, fused_spec
from psl.ops.precision import check_batch, check_ids, check_range, promote_embeddings
from psl.ops.reduction import Reduction, check_reduction, reduce
from psl.ops.sampled_scores import sampled_scores

__all__ = ["catalogue_loss", "sampled_loss"]


def sampled_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    reduction: Reduction = "mean",
    rows: int = 128,
) -> Tensor:
    """Return the loss of a batch, differentiable in both embedding tables.

    Parameters
    ----------
    users, items, rows
        As in :func:`psl.ops.sampled_scores`.  The inner products are the scores, on the scale
        that the loss expects: for the softmax losses ``cos / 2``, which :func:`half_cosine` gives.
    positive, negative : Tensor of int64, shapes (B,) and (B, N)
        Item ids.
    loss : callable
        ``(positive (B,), negative (B, N)) -> value (B,)``, one value a row; or its mean, where the
        attribute ``reduction`` or the default of that argument says ``"mean"``, as the modules and
        functions of this package do.  Parameters of its own get their gradients too.  One whose
        attribute ``fused`` is a :class:`psl.ops.FusedSpec` is taken in one pass with its scores.
    reduction : {"mean", "sum", "none"}
        Of what is returned.  ``"none"`` is not fused.

    Returns
    -------
    Tensor
        Scalar, or shape (B,) for ``reduction="none"``; of the dtype of the embeddings, but at least
        float32, also under autocast.  The mean of an empty batch is 0.  It has a first derivative
        only: a penalty on its gradient cannot go back.  Where no derivative can be asked for, as
        under ``torch.no_grad``, the gradient is not computed.

    Raises
    ------
    ValueError
        If shapes or devices do not fit, the ids are not int64, no item was sampled, ``rows`` is
        below 1, ``reduction`` is no name, or the loss gives neither one value a row nor what it
        says is their mean: a sum would not be the mean.
    IndexError
        For an id outside the catalogue, on a CPU.  A GPU is not waited for: with its kernels the
        loss is NaN, and without them torch's own assertion fails on the device.
    RuntimeError
        If a second derivative is asked for, or one in forward mode.
    """
    check_reduction(reduction)
    declared = _declared_reduction(loss)
    check_batch(users, items, rows, positive=positive, columns=negative)
    spec = fused_spec(loss)
    if spec is not None and negative.shape[1] == 0:
        raise ValueError("no item was sampled (N = 0); catalogue_loss takes all of them")
    if spec is not None and reduction != "none":
        if getattr(loss, "check_range", False) and users.device.type == "cpu":
            with torch.no_grad():
                ids = torch.stack([positive, negative[:, 0]], 1)
                check_range(sampled_scores(users, items, ids, rows=rows))
        return _fused_loss(users, items, positive, negative, spec, reduction, rows)
    scores = sampled_scores(users, items, torch.cat([positive[:, None], negative], 1), rows=rows)
    own, others = scores[:, 0], scores[:, 1:]
    if not len(own):
        value = own  # of nothing: no loss is asked for a sort or a maximum of no rows
    else:
        value = loss(own, others) if spec is None else _rows_of(own, others, spec)
    if value.shape == own.shape:
        return reduce(value, reduction)
    if value.ndim or declared != "mean" or reduction != "mean":
        raise ValueError(
            f"the loss must give one value a row, ({len(own)},), for reduction={reduction!r}, got "
            f"{tuple(value.shape)}: build or call it with reduction='none'"
        )
    return value


def catalogue_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    reduction: Reduction = "mean",
    rows: int = 128,
) -> Tensor:
    """Return the loss against *every* item, the positive too: (4.1) as printed, no sampling.

    Parameters
    ----------
    users, items, positive, reduction
        As in :func:`sampled_loss`, scale included.  With ``"none"`` all scores (B, I) are kept.
    rows : int
        Rows scored at once without the kernels, at least 1: memory is a few times ``rows * I``
        numbers.  The kernels choose for themselves, and take 32 MiB at most on a CPU and 512 MiB on
        a GPU, or one row where that is more.
    loss : module
        One whose ``fused`` is a :class:`psl.ops.FusedSpec`: SL, and PSL in its outside form.

    Returns
    -------
    Tensor
        As :func:`sampled_loss`.

    Raises
    ------
    ValueError
        For any other loss, also an SL or PSL that is not fused: with another reduction or
        correction, a learned temperature, a ``forward`` of its own, or hooks; and as
        :func:`sampled_loss`.
    IndexError, RuntimeError
        As :func:`sampled_loss`.
    """
    check_reduction(reduction)
    _declared_reduction(loss)
    check_batch(users, items, rows, positive=positive)
    spec = fused_spec(loss)
    if spec is None:
        raise ValueError(
            f"{loss!r} has no form against the whole catalogue: SL and PSL have, with a fixed "
            "temperature and as this package defines them"
        )
    if reduction != "none":
        return _fused_loss(users, items, positive, None, spec, reduction, rows)
    every = torch.arange(len(items), device=positive.device).expand(len(users), -1)
    check_ids(items, positive)
    scores = sampled_scores(users, items, every, rows=rows)
    return _rows_of(scores.gather(1, positive[:, None]).squeeze(1), scores, spec)


def _fused_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    spec: FusedSpec,
    reduction: Reduction,
    rows: int,
) -> Tensor:
    u, v = promote_embeddings(users, items)
    value = fused_softmax(u, v, positive, negative, spec.tau, spec.activation, rows)
    factor = spec.factor if reduction == "mean" else spec.factor * len(users)
    return value if factor == 1 else factor * value


def _rows_of(positive: Tensor, negative: Tensor, spec: FusedSpec) -> Tensor:
    """Return one value a row, from scores."""
    term = get_activation(spec.activation).log(negative - positive.unsqueeze(1)) / spec.tau
    return spec.factor * torch.logsumexp(term, dim=1)


def _declared_reduction(loss: Any) -> str | None:
    """Return what a loss says of its reduction, if it does; a ValueError if that is no mean."""
    given: dict[str, Any] = {}
    while isinstance(loss, partial):
        given, loss = {**loss.keywords, **given}, loss.func
    default = (getattr(loss, "__kwdefaults__", None) or {}).get("reduction")
    declared: str | None = given.get("reduction", getattr(loss, "reduction", default))
    if declared not in (None, "mean", "none"):
        raise ValueError(
            "one value a row is reduced here: reduction must be 'mean' or 'none' here, "
            f"got {declared!r}"
        )
    return declared
