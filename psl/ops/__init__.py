"""Scores of a batch against sampled items without ever building the (B, N, d) block of embeddings.

Everything here is a custom operator of torch, with a plain road in torch for every device and
dtype, and a fast one where it serves: the numba kernels on a CPU, the Triton kernels on a GPU.
"""

from psl.ops.from_embeddings import catalogue_loss, sampled_loss
from psl.ops.lookup import lookup
from psl.ops.precision import at_least_single
from psl.ops.sampled_scores import sampled_scores
from psl.ops.unit_rows import half_cosine, unit_rows

__all__ = [
    "at_least_single",
    "catalogue_loss",
    "half_cosine",
    "lookup",
    "sampled_loss",
    "sampled_scores",
    "unit_rows",
]
