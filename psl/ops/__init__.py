"""Scores of a batch against sampled items without ever building the (B, N, d) block of embeddings.

``from_embeddings`` is the entry: any loss of scores, from embeddings and ids; ``in_batch`` is the
same where the negatives are the other rows' items.  Below them are custom operators of torch,
``fused_softmax``, ``sampled_scores``, ``unit_rows`` and ``lookup``: each with a plain path in torch
(``reference``) for every device and dtype, and a kernel where one serves.  They share ``precision``
(and checks), ``reduction``, ``once_differentiable``.
"""

from psl.ops.from_embeddings import catalogue_loss, sampled_loss
from psl.ops.fused_softmax import FusedSpec, fused_spec
from psl.ops.in_batch import in_batch_loss
from psl.ops.lookup import lookup
from psl.ops.precision import upcast_half
from psl.ops.sampled_scores import sampled_scores
from psl.ops.unit_rows import half_cosine, unit_rows

__all__ = [
    "FusedSpec",
    "catalogue_loss",
    "fused_spec",
    "half_cosine",
    "in_batch_loss",
    "lookup",
    "sampled_loss",
    "sampled_scores",
    "unit_rows",
    "upcast_half",
]
