"""A loss of scores, as :mod:`psl.losses` defines it, from embeddings and item ids."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from psl.activations import get_activation
from psl.kernels.dispatch import Impl
from psl.ops.fused_softmax import FusedSpec, fused_softmax, fused_spec
from psl.ops.precision import check_batch, check_ids, check_range, promote_embeddings
from psl.ops.reduction import Reduction, check_reduction, reduce
from psl.ops.sampled_scores import sampled_scores

__all__ = ["catalogue_loss", "declared_reduction", "in_parts", "sampled_loss"]

Loss = Callable[[Tensor, Tensor], Tensor]
# Scores of a batch above which a loss without kernels is taken in parts, by device.
MOST_BYTES = {"cpu": 1 << 25, "cuda": 1 << 29}


def sampled_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    loss: Loss,
    *,
    reduction: Reduction = "mean",
    rows: int = 128,
    impl: Impl = "auto",
) -> Tensor:
    """Return the loss of a batch, differentiable in both embedding tables.

    Parameters
    ----------
    users, items, rows, impl
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
        below 1, ``reduction`` or ``impl`` is no name, no kernel serves where one is asked for, or
        the loss gives neither one value a row nor what it says is their mean: a sum would not be
        the mean.
    IndexError
        For an id outside the catalogue, on a CPU.  A GPU is not waited for: with its kernels the
        loss is NaN, and without them torch's own assertion fails on the device.
    RuntimeError
        If a second derivative is asked for, one in forward mode, or one by ``torch.func.grad``,
        which torch refuses for its own operators: ``torch.autograd.grad`` gives it.

    Notes
    -----
    No ``(B, N, d)`` tensor is made.  Where a loss that is not fused has more than 32 MiB of scores
    (512 MiB on a GPU), a part of the rows is taken at once, and again in the backward pass: no
    ``(B, N)`` tensor is kept either.  The rows have to be independent of one another.  Whether they
    are is tried on two of them, together and each alone, and a GPU is waited for; a loss whose
    coupling that cannot show says ``coupled_rows = True``, and ``False`` spares the trial.
    """
    check_reduction(reduction)
    declared_reduction(loss)
    check_batch(users, items, rows, positive=positive, columns=negative)
    spec = fused_spec(loss)
    if spec is not None and negative.shape[1] == 0:
        raise ValueError("no item was sampled (N = 0); catalogue_loss takes all of them")
    if spec is not None and reduction != "none":
        value = fused_softmax(users, items, positive, negative, spec, reduction, rows, impl)
        if getattr(loss, "check_range", False) and users.device.type == "cpu":
            u, v = promote_embeddings(users.detach(), items.detach())
            check_range(*((u * v[ids]).sum(1) for ids in (positive, negative[:, 0])))
        return value

    def of_rows(u: Tensor, v: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
        columns = torch.cat([pos[:, None], neg], 1)
        scores = sampled_scores(u, v, columns, rows=rows, impl=impl)
        if not len(u):  # no loss is asked for a sort or a maximum of no rows
            return scores[:, 0]
        of_scores = loss if spec is None else partial(_rows_of, spec=spec)
        return of_scores(scores[:, 0], scores[:, 1:])

    batch = users, items, positive, negative
    return in_parts(loss, of_rows, batch, negative.shape[1] + 1, rows, reduction)


def in_parts(
    loss: Loss,
    of_rows: Callable[..., Tensor],
    batch: tuple[Tensor, ...],
    columns: int,
    rows: int,
    reduction: Reduction,
    counted: Tensor | None = None,
) -> Tensor:
    """Return what ``of_rows`` gives of a batch, reduced; a part of the rows at once if it is large.

    ``batch`` are the users, all items, and what else there is of each row.  ``counted`` are the
    rows in the mean, (B,), as :func:`psl.ops.reduction.reduce` has them.
    """
    users, items, *others = batch
    step = max(rows, MOST_BYTES.get(users.device.type, 1 << 25) // (items.element_size() * columns))
    take: Callable[..., Tensor] = partial(checkpoint, of_rows, use_reentrant=False)
    if len(users) <= step or not (
        fused_spec(loss) is not None or _rows_are_independent(loss, of_rows, *batch)
    ):
        step, take = max(len(users), 1), of_rows
    values = []
    for u, *part in zip(*(x.split(step) for x in (users, *others)), strict=True):
        value = take(u, items, *part)
        mean = not value.ndim and declared_reduction(loss) == reduction == "mean"
        if value.shape != (len(u),) and not mean:
            raise ValueError(
                f"the loss must give one value a row, ({len(u)},), for reduction={reduction!r}, "
                f"got {tuple(value.shape)}: build or call it with reduction='none'"
            )
        values.append(value)
    if values[0].ndim:
        return reduce(torch.cat(values), reduction, counted)
    if counted is None:
        shares = [len(u) / len(users) for u in users.split(step)]
        return torch.stack([s * value for s, value in zip(shares, values, strict=True)]).sum()
    numbers = torch.stack([x.sum() for x in counted.split(step)])
    return (torch.stack(values) * numbers).sum() / numbers.sum().clamp(min=1)


@torch.no_grad()
def _rows_are_independent(
    loss: Loss, of_rows: Callable[..., Tensor], users: Tensor, items: Tensor, *others: Tensor
) -> bool:
    """Whether two rows have the values together that they have alone.

    A loss that holds something for each row of the whole batch gives other values, or an error.
    """
    whole = torch.compiler.is_compiling() or (
        users.is_cuda and torch.cuda.is_current_stream_capturing()
    )
    while isinstance(loss, partial):
        loss = loss.func
    declared: bool | None = getattr(loss, "coupled_rows", None)
    if whole or declared is not None:
        return not (whole or declared)
    ends = torch.tensor([0, len(users) - 1], device=users.device)
    try:
        both, first, last = (
            of_rows(users[i], items, *(x[i] for x in others)) for i in (ends, ends[:1], ends[1:])
        )
    except Exception:  # whatever it is, the whole batch meets it too, or is what the loss is for
        return False
    alone = torch.cat([first, last]) if both.ndim else (first + last) / 2
    return torch.allclose(both, alone, equal_nan=True)


def catalogue_loss(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    loss: Loss,
    *,
    reduction: Reduction = "mean",
    rows: int = 128,
    impl: Impl = "auto",
) -> Tensor:
    """Return the loss against *every* item, the positive too: (4.1) as printed, no sampling.

    Parameters
    ----------
    users, items, positive, reduction, impl
        As in :func:`sampled_loss`, scale included.  With ``"none"`` all scores (B, I) are kept.
    rows : int
        Rows scored at once without the kernels, at least 1: memory is a few times ``rows * I``
        numbers.  The kernels choose for themselves, and take 32 MiB at most on a CPU and 512 MiB on
        a GPU, or one row where that is more.
    loss : module
        One whose ``fused`` is a :class:`psl.ops.FusedSpec`: SL, and PSL in its outside form.

    Returns and raises what :func:`sampled_loss` does, and ValueError for any other loss, also an
    SL or PSL that is not fused: with another reduction or correction, a learned temperature, a
    ``forward`` of its own, or hooks.
    """
    check_reduction(reduction)
    declared_reduction(loss)
    check_batch(users, items, rows, positive=positive)
    spec = fused_spec(loss)
    if spec is None:
        raise ValueError(
            f"{loss!r} has no form against the whole catalogue: SL and PSL have, with a fixed "
            "temperature and as this package defines them"
        )
    if reduction != "none":
        return fused_softmax(users, items, positive, None, spec, reduction, rows, impl)
    every = torch.arange(len(items), device=positive.device).expand(len(users), -1)
    check_ids("an item", len(items), positive)
    scores = sampled_scores(users, items, every, rows=rows, impl=impl)
    return _rows_of(scores.gather(1, positive[:, None]).squeeze(1), scores, spec)


def _rows_of(positive: Tensor, negative: Tensor, spec: FusedSpec) -> Tensor:
    """Return (4.1) of each row, as :func:`psl.pairwise_softmax_loss` defines it."""
    term = get_activation(spec.activation).log(negative - positive.unsqueeze(1)) / spec.tau
    return spec.factor * torch.logsumexp(term, dim=1)


def declared_reduction(loss: Any) -> str | None:
    """Return what a loss says of its reduction, if it does; a ValueError if that is no mean."""
    given: dict[str, Any] = {}
    while isinstance(loss, partial):
        given, loss = {**loss.keywords, **given}, loss.func
    default = (getattr(loss, "__kwdefaults__", None) or {}).get("reduction")
    declared: str | None = given.get("reduction", getattr(loss, "reduction", default))
    if declared not in (None, "mean", "none"):
        raise ValueError(f"one value a row: reduction is 'mean' or 'none' here, got {declared!r}")
    return declared
