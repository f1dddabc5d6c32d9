"""Rows of a table by their ids, as an operator of torch where a GPU's kernel serves."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding

from psl.kernels.dispatch import choose
from psl.ops.precision import operator

__all__ = ["lookup"]

MOST_ROWS = 1 << 14  # of a batch: from there on comparing all with all is no gain


def lookup(ids: Tensor, table: Tensor) -> Tensor:
    """Return the rows ``ids`` (B,) of ``table`` (M, d), differentiable in the table.

    It is torch's embedding.  On a GPU, whose gradient of a short batch torch takes slowly, it has a
    first derivative only.
    """
    if len(ids) > MOST_ROWS or choose("lookup_backward", table) is None:
        return embedding(ids, table)
    return _lookup(ids, table)


@operator("lookup")
def _lookup(ids: Tensor, table: Tensor) -> Tensor:
    return table.index_select(0, ids)


@operator("lookup_backward")
def _lookup_backward(grad: Tensor, ids: Tensor, num_rows: int) -> Tensor:
    if kernel := choose("lookup_backward", grad):
        return kernel(grad, ids, num_rows)
    return torch.ops.aten.embedding_dense_backward(grad, ids, num_rows, -1, False)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.num_rows = len(inputs[1])


_lookup.register_fake(lambda ids, table: table.new_empty(len(ids), table.shape[1]))
_lookup_backward.register_fake(lambda grad, ids, num_rows: grad.new_empty(num_rows, grad.shape[1]))
_lookup.register_autograd(
    lambda ctx, grad: (None, _lookup_backward(grad, *ctx.saved_tensors, ctx.num_rows)),
    setup_context=_keep,
)
