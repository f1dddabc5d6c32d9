"""The softmax losses fused with their scores, as an operator of torch.

The formula is that of :func:`psl.pairwise_softmax_loss`, of scores that are taken here.
The gradient is taken in the forward pass, a few rows at a time: nothing of size ``B x N`` is kept
for the backward pass.  So there is a first derivative only.  Where nobody can ask for it, as under
``no_grad``, it is not taken, and the value has the same bits.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.library import CustomOpDef

from psl.activations import get_activation
from psl.kernels.dispatch import Impl, catalogue_is_cheaper, choose
from psl.ops.once_differentiable import raise_on_double_backward
from psl.ops.precision import check_ids, operator, promote_embeddings
from psl.ops.reduction import Reduction
from psl.ops.reference import add_gradients, score_rows

__all__ = ["FusedSpec", "fused_softmax", "fused_spec", "register_gradients"]

FIRST_ONLY = (
    "a fused softmax loss has a first derivative only; for a second, take the loss of scores: "
    "loss(positive, negative)"
)


@dataclass(frozen=True)
class FusedSpec:
    """A loss that is ``factor`` times (4.1), :func:`psl.pairwise_softmax_loss`, and nothing else.

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

    Raises TypeError if it is anything else: it would be read as another function.
    """
    spec = getattr(loss, "fused", None)
    if spec is not None and not isinstance(spec, FusedSpec):
        raise TypeError(f"{type(loss).__name__}.fused must be a FusedSpec or None, got {spec!r}")
    return spec


def fused_softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor | None,
    spec: FusedSpec,
    reduction: Reduction,
    rows: int,
    impl: Impl = "auto",
) -> Tensor:
    """Return the mean of a loss over the batch, or its sum, of shape (); of none it is 0.

    Arguments as of :func:`psl.sampled_loss`, and with ``None`` for ``negative``, every item of the
    catalogue once, as of :func:`psl.catalogue_loss`; ``reduction`` is "mean" or "sum".
    """
    users, items = promote_embeddings(users, items)
    wanted = torch.is_grad_enabled() and (users.requires_grad or items.requires_grad)
    settings = spec.tau, spec.activation, rows, wanted, impl
    value: Tensor = _fused_softmax(users, items, positive, negative, *settings)[0]
    factor = spec.factor if reduction == "mean" else spec.factor * len(users)
    return value if factor == 1 else factor * value


@operator("pairwise_softmax")
def _fused_softmax(
    users: Tensor, items: Tensor, positive: Tensor, negative: Tensor | None, tau: float,
    activation: str, rows: int, wanted: bool, impl: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the mean, and if it is ``wanted`` its gradient, shapes (), (B, d) and (I, d).

    If not, both parts of the gradient are empty, (0, d).
    """
    sigma, batch = get_activation(activation), len(users)
    value = users.new_zeros(batch)
    grad_users, grad_items = (torch.zeros_like(x if wanted else x[:0]) for x in (users, items))
    if not batch:
        return value.sum(), grad_users, grad_items
    if impl == "kernel" and not sigma.kernels:
        raise ValueError(f"impl='kernel': the kernels have no activation {activation!r}")
    gpu = users.is_cuda
    whole = negative is None or catalogue_is_cheaper(len(items), negative.shape[1], gpu=gpu)
    name = "catalogue_softmax" if whole else "sampled_softmax"
    if kernel := choose(name, users, impl if sigma.kernels else "torch"):
        value, u, v = kernel(users, items, positive, negative, tau, activation, wanted)
        return value.mean(), u, v
    given = (positive,) if negative is None else (positive, negative)
    check_ids("an item", len(items), *given)
    for start in range(0, batch, rows):
        part = slice(start, start + rows)
        u, pos_id = users[part], positive[part].unsqueeze(1)
        columns = None if negative is None else torch.cat([pos_id, negative[part]], dim=1)
        score = score_rows(u, items, columns)
        d = score - score.gather(1, pos_id) if columns is None else score[:, 1:] - score[:, :1]
        log_term = sigma.log(d) / tau
        value[part] = torch.logsumexp(log_term, dim=1)
        if not wanted:
            continue
        weight = torch.softmax(log_term, dim=1) * sigma.slope(d) / (tau * batch)
        pos_weight = -weight.sum(dim=1, keepdim=True)
        if columns is not None:
            weight = torch.cat([pos_weight, weight], dim=1)
        else:
            weight.scatter_add_(1, pos_id, pos_weight)
        grad_users[part] = add_gradients(u, items, columns, weight, grad_items)
    return value.mean(), grad_users, grad_items


def register_gradients(operator: CustomOpDef, words: str) -> None:
    """Let the results of an operator after its first, a scalar, be the gradients of that.

    They are those in its first arguments; it has no others, and no second derivative.
    """

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.count = len(output) - 1
        ctx.others = len(inputs) - ctx.count
        differentiated = (x for x in inputs[: ctx.count] if x.requires_grad)
        ctx.save_for_backward(*output[1:], *differentiated)
        ctx.mark_non_differentiable(*output[1:])

    def scale(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        # Times 1 too: what goes out may be changed in place, and what was saved asked for again.
        saved = ctx.saved_tensors
        out = tuple(part * grad for part in saved[: ctx.count])
        if torch.is_grad_enabled() and type(grad) is Tensor:  # create_graph=True, nobody traces
            out = raise_on_double_backward(words, out, saved[ctx.count :])
        return *out, *(None,) * ctx.others

    operator.register_autograd(scale, setup_context=keep)


_fused_softmax.register_fake(
    lambda users, items, *others: (
        users.new_empty(()),
        *(x.new_empty((len(x) if others[-2] else 0, x.shape[1])) for x in (users, items)),
    )
)
register_gradients(_fused_softmax, FIRST_ONLY)
